"""The direct method: the node fetches and writes its disk itself, by a signed write list.

It lists what would be written over iSCSI, packed: the base as the build left it, and the
small pieces (partition table, swap, config drive) as they are packed here, encrypted. All of it is
served as files. The conductor waits for what the node tells.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from bakery.conductor import encryption, partition, write_list
from bakery.conductor.checked import SealOf
from bakery.conductor.contents import Piece, fitting
from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.multicast import Cast
from bakery.conductor.packed_base import base_index, packed_base
from bakery.conductor.partition import Extras
from bakery.conductor.peer import Peer
from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.packed.packing import pack_file
from bakery.host import folders
from bakery.host.plain_file import Seal, seal
from bakery.manifest.manifest import Build
from bakery.netboot.tree import Tree
from bakery.node.agent.writing import Tell

SILENCE_SECONDS = 120.0
STANDSTILL_SECONDS = 900.0
"""A large disk may take minutes to be cleared; who tells the same for longer gets nowhere."""
LISTEN_SECONDS = 0.5
FRAMES = "frames-"
BASE_FRAMES = f"{FRAMES}base"


def _no_cast() -> None:
    """Nothing is multicast."""


class Pulling:
    """One node's disk, written by the node; frames are for `peer` alone.

    `folder` is for those of the small pieces; each list begins with an empty one.

    `cast` tells where the base is about to be multicast, if it is; it is asked once.
    `seal_of` tells as what the packed base was checked.
    The node has failed when it reports nothing for `silence_seconds`, or nothing new for
    `standstill_seconds`.
    """

    def __init__(
        self,
        build: Build,
        extras: Extras,
        tree: Tree,
        url: str,
        node: UUID,
        peer: Peer,
        folder: Path,
        cast: Callable[[], Cast | None] = _no_cast,
        seal_of: SealOf = seal,
        silence_seconds: float = SILENCE_SECONDS,
        standstill_seconds: float = STANDSTILL_SECONDS,
    ) -> None:
        self._cast = cast
        self._silence, self._standstill = silence_seconds, standstill_seconds
        self._build, self._extras = build, extras
        self._tree, self._url, self._node, self._peer = tree, url, node, peer
        self._folder = folder
        self._index = base_index(build)
        self._news = threading.Condition()
        self._told: tuple[str, int, int] = ("", 0, 0)
        self._heard = self._moved = 0.0
        self._done = False
        self._base = seal_of(packed_base(build))
        self._offer(BASE_FRAMES, self._base)
        # A node may be at work on a list that a conductor before us gave it.
        for path in folders.check(folder).glob(f"{FRAMES}*"):
            self._offer(path.name, seal(path))

    def write_list(self, deployment: Deployment, disk_bytes: int, public: bytes) -> bytes:
        """The signed write list for a disk of that size, encrypted to the node's `public` key.

        BakeryError where the disk is too small, or the key is none.

        bakery/node/agent/signed_list.py reads it, and says what it looks like.
        """
        folders.make(self._folder.parent, mode=0o700)
        folders.fresh(self._folder)
        found = partition.pieces(
            self._build, self._extras, disk_bytes, deployment.disk, self._folder
        )
        listed = [
            self._offered(number, piece) for number, piece in enumerate(fitting(found, disk_bytes))
        ]
        with self._news:
            self._done, self._told, self._heard = False, ("", 0, 0), time.monotonic()
        terms = write_list.terms(self._build, str(self._node), disk_bytes, encrypted_to=public)
        signed = write_list.signed(listed, terms, deployment.signed)
        return encryption.encrypted_list(signed, public, deployment.key)

    def progress(self, part: str, done: int, total: int) -> None:
        """The node tells how far it is, in chunks of 1 MiB."""
        news = (part, done, total)
        with self._news:
            self._heard = time.monotonic()
            if news != self._told:
                self._told, self._moved = news, self._heard
            self._news.notify_all()

    def written(self) -> None:
        """The node has written its disk and read it back: nothing of it is served any more."""
        self.withdraw()
        with self._news:
            self._done = True
            self._news.notify_all()

    def withdraw(self) -> None:
        """Serve no frames any more, and keep none of the small pieces'."""
        for path in self._folder.glob(f"{FRAMES}*"):
            self._tree.remove(self._name(path.name))
            path.unlink(missing_ok=True)
        self._tree.remove(self._name(BASE_FRAMES))

    def write(self, _agent: AgentInfo, _deployment: Deployment, tell: Tell) -> None:
        """Wait until the node is done; DiskFailed where it is silent for too long."""
        with self._news:
            self._heard = self._moved = time.monotonic()
        while True:
            with self._news:
                self._news.wait(LISTEN_SECONDS)
                (part, done, total), finished = self._told, self._done
                now = time.monotonic()
                silent, stands = now - self._heard, now - self._moved
            # The last that it told is older than what it has done.
            done = total if finished else done
            tell(part or "writing", done * CHUNK_BYTES, total * CHUNK_BYTES)
            if finished:
                return
            if silent > self._silence:
                raise DiskFailed(f"the node did not report within {self._silence:g} s")
            if stands > self._standstill:
                raise DiskFailed(f"the node reports, but got nowhere in {self._standstill:g} s")

    def _offered(self, number: int, piece: Piece) -> Mapping[str, object]:
        if piece.name == "base":
            url = self._offer(BASE_FRAMES, self._base)
            told = {"place": piece.offset, "frames": url, "index": self._index}
            cast, self._cast = self._cast(), _no_cast
            return told | ({"cast": {"port": cast.port, "key": cast.key.hex()}} if cast else {})
        path, key = self._folder / f"{FRAMES}{number}", encryption.fresh_key()
        with path.open("wb") as packed:
            index, _ = pack_file(piece.path, encryption.EncryptedFile(packed, key))
        url = self._offer(path.name, seal(path))
        return {"place": piece.offset, "frames": url, "index": index, "key": key.hex()}

    def _offer(self, file: str, frames: Seal) -> str:
        """Serve a file of frames; its URL."""
        self._tree.put(self._name(file), frames, self._peer.frames)
        return f"{self._url}/{self._name(file)}"

    def _name(self, file: str) -> str:
        return f"{self._node}/{file}"
