"""What happens on the wire, as records: each server tells what it saw and what it answered.

Texts in them came from the network: they are bounded and printable.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.printable import printable

TEXT_CHARACTERS = 200
LOG_LINE_BYTES = 16 << 10
LOG_BYTES = 32 << 20


class Dhcp(msgspec.Struct, frozen=True, tag="dhcp"):
    """A DHCP message of a known node, and the answer.

    `message` is DISCOVER, REQUEST, DECLINE, RELEASE or INFORM; `answer` OFFER, ACK, NAK or empty
    (it is for another server, and `address` what is asked of that one).
    `firmware` is what asked: bios, uefi, ipxe, or empty for a system that does not boot by this.
    """

    mac: str
    message: str
    answer: str = ""
    address: str = ""
    firmware: str = ""
    file: str = ""


class DhcpIgnored(msgspec.Struct, frozen=True, tag="dhcp-ignored"):
    """A DHCP message that got no answer; an empty `mac` was not to be read."""

    mac: str
    reason: str


class DhcpStranger(msgspec.Struct, frozen=True, tag="dhcp-stranger"):
    """A machine that no node file names asked for an address or a boot file, and got no answer.

    `vendor` is its vendor class, such as `PXEClient:Arch:00007`; `architecture` its number of
    RFC 4578 (-1: it said none).
    """

    mac: str
    vendor: str = ""
    architecture: int = -1


class DhcpRival(msgspec.Struct, frozen=True, tag="dhcp-rival"):
    """Another DHCP server answers on this wire, and `mac` got its answer or took its offer."""

    address: str
    mac: str


class Advertised(msgspec.Struct, frozen=True, tag="advertised"):
    """An IPv6 router solicitation was answered: there is no router."""

    client: str


class TftpAsked(msgspec.Struct, frozen=True, tag="tftp-asked"):
    """A transfer has begun; `size_bytes` is the file's."""

    client: str
    path: str
    size_bytes: int


class TftpSent(msgspec.Struct, frozen=True, tag="tftp-sent"):
    """A client has acknowledged a whole file."""

    client: str
    path: str
    size_bytes: int
    seconds: float


class TftpFailed(msgspec.Struct, frozen=True, tag="tftp-failed"):
    """A transfer that had begun did not come to its end."""

    client: str
    path: str
    reason: str


class TftpRefused(msgspec.Struct, frozen=True, tag="tftp-refused"):
    """A request was answered by an error, or not at all."""

    client: str
    path: str
    reason: str


class Http(msgspec.Struct, frozen=True, tag="http"):
    """An HTTP request and its answer. `sent_bytes` is what of the body was handed to the client.

    `path` is without the query, which may hold what is nobody's to read. `reason` says why it was
    refused or broke off; empty where all went well.
    """

    client: str
    method: str
    path: str
    status: int
    sent_bytes: int = 0
    seconds: float = 0.0
    reason: str = ""


class Trouble(msgspec.Struct, frozen=True, tag="trouble"):
    """A server met something that it cannot do, and goes on."""

    server: str
    reason: str


Event = (
    Dhcp
    | DhcpIgnored
    | DhcpStranger
    | DhcpRival
    | Advertised
    | TftpAsked
    | TftpSent
    | TftpFailed
    | TftpRefused
    | Http
    | Trouble
)
Sink = Callable[[Event], None]


class LogEntry(msgspec.Struct, frozen=True):
    """A line of a wire log: `unix_seconds` is when the event was told."""

    unix_seconds: float
    event: Event


class WireLog:
    """A sink that keeps events in a file, one JSON object a line, in the order they are told.

    Each is one write to a file opened for appending, so servers in several threads and processes
    may share it. At `limit` bytes it goes on in a new file; of the old ones the last is kept, as
    `NAME.1`.
    """

    def __init__(self, path: Path, limit: int = LOG_BYTES) -> None:
        self._path, self._limit = path, limit
        self._lock = threading.Lock()
        self._file = self._opened()

    def __call__(self, event: Event) -> None:
        """Append one event."""
        with self._lock:
            self._file.write(msgspec.json.encode(LogEntry(time.time(), event)) + b"\n")
            if self._file.tell() >= self._limit:
                self._rotate()

    def _rotate(self) -> None:
        """Begin a new file, unless another process has: then go on in that."""
        own = os.fstat(self._file.fileno())
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == own.st_ino:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file.close()
        self._file = self._opened()

    def _opened(self) -> IO[bytes]:
        return os.fdopen(folders.open_end(self._path), "ab", buffering=0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> Iterator[LogEntry]:
    """The entries of a wire log; a last line that is not whole is left out.

    BakeryError where a line is none that `WireLog` writes.
    """
    with path.open("rb") as file:
        while (line := file.readline(LOG_LINE_BYTES)).endswith(b"\n"):
            try:
                yield msgspec.json.decode(line, type=LogEntry)
            except (msgspec.DecodeError, RecursionError) as error:
                raise BakeryError(f"{path} is not a wire log: {error}") from error


def readable(text: str | bytes) -> str:
    """A text from the network for an event: bounded, what cannot be printed is escaped."""
    return printable(text, TEXT_CHARACTERS)


class Seldom:
    """Lets one of many like events through: the same key once in `seconds`, `limit` keys at most.

    What strangers send without end must not become a log without end.
    """

    def __init__(self, seconds: float = 10.0, limit: int = 256) -> None:
        self._seconds = seconds
        self._limit = limit
        self._last: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        """Whether this one is to be told."""
        now = time.monotonic()
        self._last = {k: at for k, at in self._last.items() if now - at < self._seconds}
        if key in self._last or len(self._last) >= self._limit:
            return False
        self._last[key] = now
        return True
