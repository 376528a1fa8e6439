"""A TFTP server that only reads, for boot programs (RFC 1350, 2347, 2348, 2349).

tftpy's server is not used: it ends at the first malformed option, writes what a client sends,
acknowledges options that nobody asked for (RFC 2347 forbids it) and does not bound its sessions.
Requests are read strictly, and each transfer has a socket of its own that is connected to its
client, so that nobody else can send into it.

All transfers share one thread: TFTP waits for each block's acknowledgement, so it is the round
trip that bounds a transfer, not the work. docs/performance.md has figures; boot
programs that can do HTTP are given it for the large files.
"""

import contextlib
import errno
import functools
import ipaddress
import logging
import socket
import struct
import time
from dataclasses import dataclass

from bakery.netboot.loop import Loop, bound, quietly
from bakery.netboot.shares import Known, Shares, nobody
from bakery.netboot.tftp_transfer import Broken, Transfer
from bakery.netboot.tree import Asker, Forbidden, Opened, Tree
from bakery.netboot.wire_events import (
    Seldom,
    Sink,
    TftpAsked,
    TftpFailed,
    TftpRefused,
    TftpSent,
    readable,
)

PORT = 69
# RFC 1350 has requests of one Ethernet frame at most; boot programs send less than 200 bytes.
REQUEST_LIMIT_BYTES = 1024
# The largest block that an Ethernet frame holds: 1500 less IP's 20, UDP's 8, and 4 of TFTP.
BLOCK_LIMIT_BYTES = 1468
BLOCK_LEAST_BYTES = 8
SESSIONS, SESSIONS_PER_CLIENT, SESSIONS_RESERVED = 128, 8, 64
RESEND_SECONDS, RESENDS = 1.0, 8
TRANSFER_LIMIT_SECONDS = 3600.0
REQUESTS_AT_ONCE = 32

Peer = tuple[str, int]

READ, WRITE, ERROR = 1, 2, 5
UNDEFINED, NOT_FOUND, NOT_ALLOWED, ILLEGAL = 0, 1, 2, 4


class Refusal(Exception):
    """A request that is answered by a TFTP error: its `code`, and what it says."""

    def __init__(self, code: int, reason: str, path: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.path = path


@dataclass(frozen=True)
class ReadRequest:
    """What a client wants to read, and the options it asked for that are known here."""

    path: str
    options: dict[str, int]


def parse_request(data: bytes) -> ReadRequest:
    """The read request in a datagram; Refusal for everything else, malformed ones too."""
    if len(data) < 2 or len(data) > REQUEST_LIMIT_BYTES:
        raise Refusal(ILLEGAL, "the request is malformed")
    operation = struct.unpack_from("!H", data)[0]
    words = data[2:].split(b"\0")  # the last one is what stands behind the last zero byte
    path = readable(words[0])
    if operation == WRITE:
        raise Refusal(NOT_ALLOWED, "this server is read-only", path)
    if operation != READ or len(words) < 3 or words[-1]:
        raise Refusal(ILLEGAL, "the request is malformed", path)
    if words[1].lower() != b"octet":
        raise Refusal(ILLEGAL, "only mode octet is supported", path)
    try:
        name = words[0].decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(NOT_FOUND, "there is no such file", path) from None
    return ReadRequest(name, _options(words[2:-1], path))


def _options(words: list[bytes], path: str) -> dict[str, int]:
    """The known options among names and values; unknown ones are left out (RFC 2347).

    Firmware sends more zero bytes than its strings need (EDK2 one). An option has a name, so they
    are no options; behind them nothing else may stand.
    """
    count = next((n for n in range(0, len(words), 2) if not words[n]), len(words))
    if count % 2 or any(words[count:]):
        raise Refusal(ILLEGAL, "the options are malformed", path)
    known: dict[str, int] = {}
    for name, value in zip(words[:count:2], words[1:count:2], strict=True):
        key = name.lower().decode("latin-1")
        if key not in ("blksize", "tsize"):
            continue
        if not value.isdigit() or len(value) > 10:
            raise Refusal(ILLEGAL, f"the option {key} is malformed", path)
        known[key] = int(value)
    if "blksize" in known:
        if known["blksize"] < BLOCK_LEAST_BYTES:
            raise Refusal(ILLEGAL, "the block size is too small", path)
        known["blksize"] = min(known["blksize"], BLOCK_LIMIT_BYTES)
    return known


@dataclass(eq=False)
class _Session:
    """A transfer under way. Times are monotonic seconds, `sent` that of the last packet.

    `peer` is the client's address and port, `request` what it asked with. `heard` is whether it
    has answered: the source of a datagram is easily made up.
    """

    transfer: Transfer
    socket: socket.socket
    peer: Peer
    request: bytes
    path: str
    opened: Opened
    started: float
    sent: float
    resends: int = 0
    heard: bool = False

    @property
    def client(self) -> str:
        """The client's address."""
        return self.peer[0]


class TftpServer(Loop):
    """Serves a tree of files by TFTP on one IPv4 address; port 0 takes any free one.

    `port` is the one in use after `start`. Of the sessions, some are kept for `known` clients.
    """

    name = "TFTP"

    def __init__(
        self,
        address: str,
        tree: Tree,
        on_event: Sink,
        *,
        port: int = PORT,
        interface: str = "",
        known: Known = nobody,
    ) -> None:
        super().__init__(on_event)
        self.address = str(ipaddress.IPv4Address(address))
        self.port = port
        self._interface = interface
        self._tree = tree
        self._sessions: list[_Session] = []
        self._shares = Shares(SESSIONS, SESSIONS_PER_CLIENT, SESSIONS_RESERVED, known)
        self._refusals = Seldom(seconds=1.0)
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take the port."""
        # tftpy logs each packet, and a client's errors on standard error; events say what matters.
        logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)
        place = (self.address, self.port)
        self._socket = bound(socket.SOCK_DGRAM, place, self.name, self._interface)
        self.port = self._socket.getsockname()[1]
        self.watch(self._socket, self._requests)

    def closing(self) -> None:
        """End what is under way."""
        for session in list(self._sessions):
            self._fail(session, "the server stops")

    def tick(self) -> None:
        """Send again what was not acknowledged, and give up where that has no end."""
        now = time.monotonic()
        for session in list(self._sessions):
            if now - session.started > TRANSFER_LIMIT_SECONDS:
                self._fail(session, "the transfer takes too long")
            elif now - session.sent <= RESEND_SECONDS:
                continue
            elif session.resends == RESENDS:
                self._fail(session, "the client has stopped answering")
            else:
                session.resends += 1
                self._send(session)

    def _requests(self) -> None:
        assert self._socket is not None
        for _ in range(REQUESTS_AT_ONCE):
            data, client = self._socket.recvfrom(REQUEST_LIMIT_BYTES + 1)
            if data[:2] == struct.pack("!H", ERROR) or self._is_under_way(client, data):
                continue
            try:
                request = parse_request(data)
                self._serve(client, request, data)
            except Refusal as refusal:
                self._refuse(client, refusal)

    def _is_under_way(self, client: Peer, data: bytes) -> bool:
        """Whether a request has its answer on the way, or sent again: the network brought it twice.

        Another request from a port with a transfer is answered beside it. A client has one at a
        time: it goes on with either, which ends the other. That is not ended before, for the
        request may be somebody else's, or the same one late.
        """
        for session in [one for one in self._sessions if one.peer == client]:
            self._catch_up(session)
        mine = [one for one in self._sessions if one.peer == client]
        return any(one.request == data and not one.heard for one in mine)

    def _catch_up(self, session: _Session) -> None:
        """Take what the client sent to a transfer before its request, such as an error."""
        for _ in range(REQUESTS_AT_ONCE):
            if session not in self._sessions or not self._go_on(session):
                return

    def _serve(self, client: Peer, request: ReadRequest, data: bytes) -> None:
        if not self._shares.take(client[0]) and not self._take_over(client[0]):
            raise Refusal(UNDEFINED, "too many transfers are under way", readable(request.path))
        try:
            self._begin(client, request, self._find(client, request), data)
        except BaseException:
            self._shares.give_back(client[0])
            raise

    def _take_over(self, address: str) -> bool:
        """A place of the client's own, of a transfer that it never answered to."""
        for session in self._sessions:
            if session.client == address and not session.heard:
                self._fail(session, "another request of the client's came")
                return self._shares.take(address)
        return False

    def _find(self, client: Peer, request: ReadRequest) -> Opened:
        try:
            # No served name has a backslash: to some firmware it is a slash.
            opened = self._tree.open(request.path.replace("\\", "/"), Asker(client[0]))
        except Forbidden as error:
            raise Refusal(NOT_ALLOWED, str(error), readable(request.path)) from None
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror or error}"
            raise Refusal(UNDEFINED, reason, readable(request.path)) from error
        if opened is None:
            raise Refusal(NOT_FOUND, "there is no such file", readable(request.path))
        return opened

    def _begin(self, client: Peer, request: ReadRequest, opened: Opened, data: bytes) -> None:
        path = readable(request.path)
        now = time.monotonic()
        try:
            transfer = Transfer(opened, request.options)
            sock = _connected(self.address, client)
        except (Broken, OSError) as error:
            opened.file.close()
            raise Refusal(UNDEFINED, f"the file cannot be sent: {error}", path) from error
        session = _Session(transfer, sock, client, data, path, opened, now, now)
        self._sessions.append(session)
        self.watch(sock, functools.partial(self._go_on, session))
        self.on_event(TftpAsked(client[0], path, opened.size_bytes))
        self._send(session)

    def _go_on(self, session: _Session) -> bool:
        """Take one packet of a transfer, if one is there; what is wrong in it ends this one alone.

        A client's first answer ends what it had before on the same port.
        """
        try:
            is_new = session.transfer.take(session.socket.recv(REQUEST_LIMIT_BYTES))
        except BlockingIOError:
            return False
        except (Broken, OSError) as error:
            self._fail(session, _reason(error))
            return True
        if not session.heard:
            self._leave_others(session)
        session.heard = True
        if session.transfer.done:
            session.opened.taken()
            self._end(session)
            seconds = time.monotonic() - session.started
            size = session.opened.size_bytes
            self.on_event(TftpSent(session.client, session.path, size, round(seconds, 3)))
        elif is_new:
            session.resends = 0
            self._send(session)
        return True

    def _leave_others(self, session: _Session) -> None:
        for other in list(self._sessions):
            if other.peer == session.peer and other is not session:
                self._fail(other, "the client has gone on to another request")

    def _send(self, session: _Session) -> None:
        session.sent = time.monotonic()
        try:
            session.socket.send(session.transfer.packet)
        except BlockingIOError:
            return  # it is sent again
        except OSError as error:
            self._fail(session, _reason(error))

    def _fail(self, session: _Session, reason: str) -> None:
        self._end(session)
        self.on_event(TftpFailed(session.client, session.path, readable(reason)))

    def _end(self, session: _Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
            self._shares.give_back(session.client)
        with contextlib.suppress(KeyError):
            self.unwatch(session.socket)
        session.socket.close()
        session.opened.file.close()

    def _refuse(self, client: Peer, refusal: Refusal) -> None:
        """Answer with an error, from a port of its own as any answer (RFC 1350, 4)."""
        reason = str(refusal)
        answer = struct.pack("!HH", ERROR, refusal.code) + reason.encode("ascii", "replace")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            sock.bind((self.address, 0))
            quietly(sock, answer + b"\0", client)
        if self._refusals(f"{client[0]} {refusal.path} {reason}"):
            self.on_event(TftpRefused(client[0], refusal.path, reason))


def _connected(address: str, client: Peer) -> socket.socket:
    """A socket on a port of its own, which hears its client alone."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind((address, 0))
        sock.connect(client)
    except OSError:
        sock.close()
        raise
    return sock


def _reason(error: Broken | OSError) -> str:
    """Why a transfer ended; a port that is closed (ICMP) is a client that is gone."""
    gone = isinstance(error, OSError) and error.errno == errno.ECONNREFUSED
    return "the client is gone" if gone else str(error)
