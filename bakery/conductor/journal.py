"""What is known of a node's deploy, kept so that a killed conductor picks it up where it was.

One JSON file a node, written whole before the step it names is begun; it holds the deployment's
secrets, so nobody else may read it. A node's file is held by one conductor at a time.
"""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

import msgspec

from bakery.conductor import holder
from bakery.conductor.wanted import Wanted
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = 2
SIZE_LIMIT_BYTES = 1 << 20
State = Literal[
    "enroll",
    "boot-config",
    "power-on",
    "ramdisk",
    "writing",
    "verifying",
    "switched",
    "rebooted",
    "running",
    "failed",
]
FINAL: tuple[State, ...] = ("running", "failed")
VISIT_LIMIT = 64
LOOK_SECONDS, POLL_SECONDS = 0.5, 0.05


class Deployment(msgspec.Struct, frozen=True):
    """One try to deploy a node: what the node must know to be believed, and its disk's identity."""

    key: str
    token: str
    disk: UUID
    signing_key: str
    """The private half of an Ed25519 key (RFC 8032, 5.1.5): 32 bytes in hexadecimal."""

    @classmethod
    def fresh(cls) -> "Deployment":
        """A new one, with secrets nobody has seen."""
        return cls(secrets.token_hex(16), secrets.token_hex(32), uuid4(), secrets.token_hex(32))

    def renewed(self) -> "Deployment":
        """The next try: other secrets, the same disk, so that what is on it can stay."""
        return msgspec.structs.replace(self.fresh(), disk=self.disk)

    @property
    def public_key(self) -> str:
        """What a node checks signatures with, in hexadecimal."""
        return self._key().public_key().public_bytes_raw().hex()

    def signed(self, content: bytes) -> bytes:
        """The signature of `content`."""
        return self._key().sign(content)

    def _key(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.signing_key))


class AgentInfo(msgspec.Struct, frozen=True):
    """Where a node's ramdisk is, what it calls its disk, and whether both ends log in to it."""

    address: str
    iqn: str
    chap: bool = False


class Machine(msgspec.Struct, frozen=True):
    """What a node's ramdisk says the machine is: its network cards, its number, the disk to write.

    `macs` are in lower case; all of it is empty where it does not tell.
    """

    macs: tuple[str, ...] = ()
    serial: str = ""
    disk_model: str = ""
    disk_serial: str = ""
    disk_bytes: int = 0


class Visit(msgspec.Struct, frozen=True):
    """When a state was entered, in seconds since the epoch."""

    state: State
    at: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A node's deploy: what is wanted on its disk, which state, which try, and why it is there."""

    version: int = VERSION
    node: UUID
    name: str
    wanted: Wanted
    state: State
    attempt: int = 1
    deployment: Deployment
    agent: AgentInfo | None = None
    machine: Machine = Machine()
    reason: str = ""
    mark: int = 0
    """What tells signs of the node's own system from those before it was let go to it."""
    sign: Literal["", "login", "ssh", "ping", "written"] = ""
    """What was seen of its own system when the node came to `running`."""
    visits: tuple[Visit, ...] = ()


class Journal:
    """The file of one node."""

    def __init__(self, folder: Path, node: UUID) -> None:
        self.path = folder / f"{node}.json"
        self._draft = folder / "draft" / str(node)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the node alone; BakeryError, naming the holder, where another conductor has it."""
        self._make_folders()
        descriptor = folders.open_lock(self._draft / "lock")
        try:
            if not _locked(descriptor):
                raise BakeryError(
                    f"another bakery deploy is working on this node: {holder.of(descriptor)}",
                    "wait for it to finish",
                )
            holder.sign(descriptor)
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> str:
        """Who works on the node now, in words; empty where nobody does."""
        lock = self._draft / "lock"
        if not os.path.lexists(folders.check(lock)):
            return ""
        with opened(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return holder.of(file.fileno())
        return ""

    def read(self) -> Record | None:
        """What was written last; None where nothing was."""
        if not os.path.lexists(folders.check(self.path)):
            return None
        with opened(self.path) as file:
            text = file.read(SIZE_LIMIT_BYTES)
        try:
            record = msgspec.json.decode(text, type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._unusable(str(error)) from error
        if record.version != VERSION:
            raise self._unusable(f"it has version {record.version}, and {VERSION} is known")
        return record

    def write(self, record: Record) -> None:
        """Keep `record`; it is on the disk when this returns."""
        content = msgspec.json.format(msgspec.json.encode(record), indent=2)
        self._make_folders()
        folders.write_whole(self.path, content + b"\n", self._draft, mode=0o600)

    def _make_folders(self) -> None:
        for folder in (self.path.parent, self._draft.parent, self._draft):
            folders.make(folder, mode=0o700)

    def _unusable(self, reason: str) -> BakeryError:
        return BakeryError(
            f"the journal {self.path} cannot be used: {reason}",
            f"to start the node's deploy over: rm {self.path}",
        )


def _locked(descriptor: int) -> bool:
    """Take a lock, unless another process has it; who only looks (`holder`) has it for a moment."""
    end = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def all_in(folder: Path) -> list[tuple[Record, str]]:
    """The records in a folder of journals, each with who works on its node; none without it."""
    if not folders.check(folder).is_dir():
        return []
    try:
        paths = sorted(folder.iterdir())
    except PermissionError:
        raise BakeryError(
            f"the journals in {folder} are another user's", "ask as that one: with sudo, if root"
        ) from None
    found = []
    for path in (path for path in paths if path.suffix == ".json"):
        with contextlib.suppress(ValueError):  # another file
            journal = Journal(folder, UUID(path.stem))
            if record := journal.read():
                found.append((record, journal.holder()))
    return found
