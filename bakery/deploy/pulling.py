"""The direct method: the node fetches and writes its disk itself, by a signed plan.

The plan lists what would be written over iSCSI, packed: the base as the build left it, and the
small pieces (partition table, swap, config drive) as they are packed here. All of it is served as
plain files. The conductor waits for what the node tells.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

from bakery.deploy import partition, plan
from bakery.deploy.contents import Piece, fitting
from bakery.deploy.journal import AgentInfo, Deployment
from bakery.deploy.nbd import DiskFailed
from bakery.deploy.packed_base import base_index, packed_base
from bakery.deploy.partition import Extras
from bakery.deploy.writing import Watcher
from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.packing import pack_file
from bakery.manifest import Build
from bakery.serve.tree import Tree

SILENCE_SECONDS = 120.0
LISTEN_SECONDS = 0.5
FRAMES = "frames-"
BASE_FRAMES = f"{FRAMES}base"


class Pulling:
    """One node's disk, written by the node. `folder` is for the small pieces' frames.

    `cast` tells at which port the base is about to be multicast, 0 for none; it is asked once.
    """

    def __init__(
        self,
        build: Build,
        extras: Extras,
        tree: Tree,
        url: str,
        node: UUID,
        folder: Path,
        cast: Callable[[], int] = lambda: 0,
    ) -> None:
        self._cast = cast
        self._build, self._extras = build, extras
        self._tree, self._url, self._node = tree, url, node
        self._folder = folder
        self._index = base_index(build)
        self._news = threading.Condition()
        self._told: tuple[str, int, int] = ("", 0, 0)
        self._heard = 0.0
        self._done = False
        self._offer(BASE_FRAMES, packed_base(self._build))
        # A node may be at work on a plan that a conductor before us gave it.
        for path in folder.glob(f"{FRAMES}*"):
            self._offer(path.name, path)

    def plan(self, deployment: Deployment, disk_bytes: int) -> bytes:
        """The signed plan for a disk of that size; BakeryError where it is too small.

        bakery/agent/plan.py reads it, and says what it looks like.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        found = partition.pieces(
            self._build, self._extras, disk_bytes, deployment.disk, self._folder
        )
        listed = [
            self._offered(number, piece) for number, piece in enumerate(fitting(found, disk_bytes))
        ]
        with self._news:
            self._done, self._told, self._heard = False, ("", 0, 0), time.monotonic()
        return plan.signed(listed, deployment.signed)

    def progress(self, part: str, done: int, total: int) -> None:
        """The node tells how far it is, in chunks of 1 MiB."""
        with self._news:
            self._told, self._heard = (part, done, total), time.monotonic()
            self._news.notify_all()

    def written(self) -> None:
        """The node has written its disk and read it back: nothing of it is served any more."""
        for path in self._folder.glob(f"{FRAMES}*"):
            self._tree.remove(self._name(path.name))
            path.unlink(missing_ok=True)
        self._tree.remove(self._name(BASE_FRAMES))
        with self._news:
            self._done = True
            self._news.notify_all()

    def write(self, _agent: AgentInfo, _deployment: Deployment, watcher: Watcher) -> None:
        """Wait until the node is done; DiskFailed where it is silent for too long."""
        verifying = False
        with self._news:
            self._heard = time.monotonic()
        while True:
            with self._news:
                self._news.wait(LISTEN_SECONDS)
                (part, done, total), finished = self._told, self._done
                silent = time.monotonic() - self._heard
            if part == "verifying" and not verifying:
                verifying = True
                watcher.before_verifying()
            tell = watcher.verifying if verifying else watcher.writing
            # The last that it told is older than what it has done.
            tell((total if finished else done) * CHUNK_BYTES, total * CHUNK_BYTES)
            if finished:
                return
            if silent > SILENCE_SECONDS:
                raise DiskFailed(f"the node told nothing for {SILENCE_SECONDS:g} s")

    def _offered(self, number: int, piece: Piece) -> Mapping[str, object]:
        if piece.name == "base":
            file, path, index = BASE_FRAMES, packed_base(self._build), self._index
            cast, self._cast = self._cast(), lambda: 0
        else:
            file = f"{FRAMES}{number}"
            path = self._folder / file
            with path.open("wb") as frames:
                index, _ = pack_file(piece.path, frames)
            cast = 0
        url = self._offer(file, path)
        return {"place": piece.offset, "frames": url, "index": index, "cast": cast}

    def _offer(self, file: str, path: Path) -> str:
        """Serve a file of frames; its URL."""
        self._tree.put(self._name(file), path)
        return f"{self._url}/{self._name(file)}"

    def _name(self, file: str) -> str:
        return f"{self._node}/{file}"
