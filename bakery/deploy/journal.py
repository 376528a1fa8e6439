"""What is known of a node's deploy, kept so that a killed conductor picks it up where it was.

One JSON file a node, written whole before the step it names is begun; it holds the deployment's
secrets, so nobody else may read it. A node's file is held by one conductor at a time.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID, uuid4

import msgspec

from bakery.errors import BakeryError
from bakery.workdir import write_whole

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = 1
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
    """Where a node's ramdisk is and what it calls its disk."""

    address: str
    iqn: str


class Visit(msgspec.Struct, frozen=True):
    """When a state was entered, in seconds since the epoch."""

    state: State
    at: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A node's deploy: which build (by its key), which state, which try, and why it is there."""

    version: int = VERSION
    node: UUID
    name: str
    build: str
    state: State
    attempt: int = 1
    deployment: Deployment
    agent: AgentInfo | None = None
    reason: str = ""
    mark: int = 0
    """What tells signs of the node's own system from those before it was let go to it."""
    visits: tuple[Visit, ...] = ()


class Journal:
    """The file of one node."""

    def __init__(self, folder: Path, node: UUID) -> None:
        self.path = folder / f"{node}.json"
        self._draft = folder / "draft" / str(node)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the node alone; BakeryError where another conductor is at work on it."""
        self._make_folders()
        descriptor = os.open(self._draft / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise BakeryError(
                "another bakery deploy is at work on this node", "wait for it to end"
            ) from None
        finally:
            os.close(descriptor)

    def read(self) -> Record | None:
        """What was written last; None where nothing was."""
        try:
            with self.path.open("rb") as file:
                text = file.read(SIZE_LIMIT_BYTES)
        except FileNotFoundError:
            return None
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
        write_whole(self.path, content + b"\n", self._draft)

    def _make_folders(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        self._draft.mkdir(parents=True, exist_ok=True)

    def _unusable(self, reason: str) -> BakeryError:
        return BakeryError(
            f"the journal {self.path} cannot be used: {reason}",
            f"to start the node's deploy over: rm {self.path}",
        )
