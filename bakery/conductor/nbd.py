"""A disk behind a Network Block Device server, for a client that moves a lot of data.

Source: the NBD protocol, doc/proto.md: fixed newstyle negotiation, NBD_OPT_GO, simple replies.
Requests are sent ahead of their replies, at most `WINDOW` of them; each is named by a ticket.
"""

import os
import socket
import struct
from typing import NoReturn

from bakery.conductor.disk_errors import DiskFailed

WINDOW = 8
REQUEST_LIMIT_BYTES = 32 << 20
# A server may have to write zeros one by one; a request is kept short enough to come back.
ZERO_LIMIT_BYTES = 256 << 20

GREETING = b"NBDMAGICIHAVEOPT"
OPTION_MAGIC = 0x49484156454F5054
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
OPT_GO, REP_ACK, REP_INFO, INFO_EXPORT = 7, 1, 3, 0
EXPORT_BYTES = 12
ERROR_LIMIT = 4096  # Linux, include/linux/err.h: MAX_ERRNO
OPTION_REPLY_LIMIT_BYTES = 64 << 10
OPTION_REPLY_LIMIT = 16
READ, WRITE, DISCONNECT, FLUSH, WRITE_ZEROES = 0, 1, 2, 3, 6
SEND_FLUSH, READ_ONLY, SEND_WRITE_ZEROES = 1 << 2, 1 << 1, 1 << 6

Ticket = int


class Nbd:
    """One disk, on a connected socket whose time-out bounds how long the server may be silent.

    `size_bytes` is the disk's (`bakery.node.agent.disk.Disk`). Every method raises DiskFailed.
    """

    name = "the disk"
    reads_ahead = WINDOW

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._next = 0
        self._pending: dict[Ticket, tuple[str, memoryview]] = {}
        self.size_bytes, self._flags = self._negotiate()
        if self._flags & READ_ONLY:
            raise DiskFailed("the disk cannot be written: its server offers it read-only")

    def write(self, offset: int, data: memoryview) -> None:
        """Send `data` for byte `offset` of the disk; `settle` tells whether it arrived."""
        for start in range(0, len(data), REQUEST_LIMIT_BYTES):
            piece = data[start : start + REQUEST_LIMIT_BYTES]
            self._request(WRITE, offset + start, len(piece), piece)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros; the server may let go of its blocks (UNMAP)."""
        if not self._flags & SEND_WRITE_ZEROES:
            raise DiskFailed("the disk's server does not support writing zeros")
        for start in range(offset, offset + length, ZERO_LIMIT_BYTES):
            self._request(WRITE_ZEROES, start, min(ZERO_LIMIT_BYTES, offset + length - start))

    def discard(self) -> None:
        """Left to `zero`, which lets go of the blocks it is told of, and of no other."""

    def read_into(self, offset: int, target: memoryview) -> Ticket:
        """Ask for bytes from `offset` on; they are in `target` once `wait` has returned."""
        if len(target) > REQUEST_LIMIT_BYTES:
            raise ValueError("more than one request may ask for")
        return self._request(READ, offset, len(target), target=target)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a short range."""
        content = bytearray(length)
        self.wait(self.read_into(offset, memoryview(content)))
        return bytes(content)

    def wait(self, ticket: Ticket) -> None:
        """Return when the request of that ticket has been carried out."""
        while ticket in self._pending:
            self._receive()

    def settle(self) -> None:
        """Return when all that was sent has been carried out."""
        while self._pending:
            self._receive()

    def flush(self) -> None:
        """Return when all that was written is on stable storage (SYNCHRONIZE CACHE)."""
        self.settle()
        if self._flags & SEND_FLUSH:
            self.wait(self._request(FLUSH, 0, 0))

    def disconnect(self) -> None:
        """Take leave; the server then logs out of what lies behind it."""
        self.settle()
        self._send(struct.pack(">IHHQQI", REQUEST_MAGIC, 0, DISCONNECT, 0, 0, 0))

    def _request(
        self,
        kind: int,
        offset: int,
        length: int,
        data: memoryview | None = None,
        target: memoryview | None = None,
    ) -> Ticket:
        while len(self._pending) >= WINDOW:
            self._receive()
        ticket, self._next = self._next, self._next + 1
        doing = {READ: "read", WRITE: "written", FLUSH: "flushed"}.get(kind, "zeroed")
        where = f"{doing} at byte {offset}" if length else doing
        self._pending[ticket] = (where, target if target is not None else memoryview(b""))
        self._send(struct.pack(">IHHQQI", REQUEST_MAGIC, 0, kind, ticket, offset, length))
        if data is not None:
            self._send(data)
        return ticket

    def _receive(self) -> None:
        """Take one reply, of whichever request."""
        magic, error, ticket = struct.unpack(">IIQ", self._exactly(16))
        if magic != REPLY_MAGIC or ticket not in self._pending:
            raise DiskFailed("the disk's server broke the NBD protocol")
        where, target = self._pending.pop(ticket)
        if error:
            reason = os.strerror(error) if error < ERROR_LIMIT else f"error {error}"
            raise DiskFailed(f"the disk could not be {where}: {reason}")
        self._fill(target)

    def _negotiate(self) -> tuple[int, int]:
        """Agree on the default export; its size in bytes and its transmission flags."""
        if self._exactly(len(GREETING)) != GREETING:
            raise DiskFailed("the disk's server does not speak NBD")
        (offered,) = struct.unpack(">H", self._exactly(2))
        self._send(struct.pack(">I", offered & (FIXED_NEWSTYLE | NO_ZEROES)))
        body = struct.pack(">IH", 0, 0)  # the export without a name, no further questions
        self._send(struct.pack(">QII", OPTION_MAGIC, OPT_GO, len(body)) + body)
        found = None
        for _ in range(OPTION_REPLY_LIMIT):
            kind, content = self._option_reply()
            if kind == REP_ACK and found:
                return found
            if kind == REP_INFO and content[:2] == struct.pack(">H", INFO_EXPORT):
                if len(content) != EXPORT_BYTES:
                    raise DiskFailed("the disk's server broke the NBD protocol")
                size, flags = struct.unpack(">QH", content[2:])
                found = (size, flags)
        raise DiskFailed("the disk's server does not offer the disk")

    def _option_reply(self) -> tuple[int, bytes]:
        magic, _, kind, length = struct.unpack(">QIII", self._exactly(20))
        if magic != OPTION_REPLY_MAGIC or length > OPTION_REPLY_LIMIT_BYTES or kind >> 31:
            raise DiskFailed("the disk's server does not offer the disk")
        return kind, self._exactly(length)

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._link.sendall(data)
        except OSError as error:
            self._lost(error)

    def _exactly(self, count: int) -> bytes:
        content = bytearray(count)
        self._fill(memoryview(content))
        return bytes(content)

    def _fill(self, target: memoryview) -> None:
        while len(target):
            try:
                count = self._link.recv_into(target)
            except OSError as error:
                self._lost(error)
            if count == 0:
                self._lost(None)
            target = target[count:]

    def _lost(self, error: OSError | None) -> NoReturn:
        if isinstance(error, TimeoutError):
            seconds = self._link.gettimeout() or 0
            raise DiskFailed(f"the disk did not respond for {seconds:g} s") from error
        raise DiskFailed("the connection to the disk was lost") from error
