"""A TFTP server that only reads, for boot programs (RFC 1350, 2347, 2348, 2349), on tftpy.

tftpy's protocol states move the blocks; its server is not used. That one ends at the first
malformed option, writes what a client sends, acknowledges options nobody asked for (RFC 2347
forbids it; boot firmware asks for `tsize` alone) and does not bound its sessions. Requests are
read here, strictly, and each transfer has a socket of its own that is connected to its client,
so that nobody else can send into it.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakery.serve.events import Seldom, Sink, TftpAsked, TftpFailed, TftpRefused, TftpSent, readable
from bakery.serve.loop import Loop, bound, quietly
from bakery.serve.tree import Opened, Tree

if TYPE_CHECKING:
    from tftpy.TftpContexts import TftpContextServer

PORT = 69
# RFC 1350 has requests of one Ethernet frame at most; boot programs send less than 200 bytes.
REQUEST_LIMIT_BYTES = 1024
# The largest block that an Ethernet frame holds: 1500 less IP's 20, UDP's 8, and 4 of TFTP.
BLOCK_LIMIT_BYTES = 1468
BLOCK_LEAST_BYTES = 8
SESSIONS, SESSIONS_PER_CLIENT = 128, 8
RESEND_SECONDS, RESENDS = 1.0, 8
TRANSFER_LIMIT_SECONDS = 3600.0
REQUESTS_AT_ONCE = 32

READ, WRITE, ERROR = 1, 2, 5
UNDEFINED, NOT_FOUND, NOT_ALLOWED, ILLEGAL = 0, 1, 2, 4

# tftpy looks for a file in a folder before it asks. Below a file that is no folder there is
# nothing to find.
NO_FOLDER = "/dev/null/served"


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
    words = data[2:].split(b"\0")
    path = readable(words[0])
    if operation == WRITE:
        raise Refusal(NOT_ALLOWED, "nothing can be written here", path)
    if operation != READ or len(words) < 3 or words[-1]:
        raise Refusal(ILLEGAL, "the request is malformed", path)
    if words[1].lower() != b"octet":
        raise Refusal(ILLEGAL, "only the mode octet is served", path)
    try:
        name = words[0].decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(NOT_FOUND, "there is no such file", path) from None
    return ReadRequest(name, _options(words[2:-1], path))


def _options(words: list[bytes], path: str) -> dict[str, int]:
    """The known options among names and values; unknown ones are left out (RFC 2347)."""
    if len(words) % 2:
        raise Refusal(ILLEGAL, "the options are malformed", path)
    known: dict[str, int] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
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


@dataclass
class _Session:
    """A transfer under way: tftpy's context, what is sent, and since when (monotonic seconds)."""

    context: "TftpContextServer"
    client: str
    path: str
    opened: Opened
    started: float


class TftpServer(Loop):
    """Serves a tree of files by TFTP on one IPv4 address; port 0 takes any free one.

    `port` is the one in use after `start`.
    """

    name = "TFTP"

    def __init__(
        self, address: str, tree: Tree, on_event: Sink, *, port: int = PORT, interface: str = ""
    ) -> None:
        super().__init__(on_event)
        self.address = str(ipaddress.IPv4Address(address))
        self.port = port
        self._interface = interface
        self._tree = tree
        self._sessions: dict[tuple[str, int], _Session] = {}
        self._refusals = Seldom(seconds=1.0)
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take the port."""
        # tftpy logs each block, and warns on standard error; events say what matters.
        logging.getLogger("tftpy").setLevel(logging.CRITICAL + 1)
        place = (self.address, self.port)
        self._socket = bound(socket.SOCK_DGRAM, place, self.name, self._interface)
        self.port = self._socket.getsockname()[1]
        self.watch(self._socket, self._requests)

    def closing(self) -> None:
        """End what is under way."""
        for session in list(self._sessions.values()):
            self._fail(session, "the server stops")

    def tick(self) -> None:
        """Send again what was not acknowledged, and give up where that has no end."""
        from tftpy.TftpShared import TftpException, TftpTimeout

        now = time.monotonic()
        for session in list(self._sessions.values()):
            context = session.context
            try:
                if now - session.started > TRANSFER_LIMIT_SECONDS:
                    self._fail(session, "the transfer has no end")
                    continue
                context.checkTimeout(time.time())
            except TftpTimeout:
                context.retry_count += 1
                context.last_update = time.time()
                if context.retry_count > RESENDS:
                    self._fail(session, "the client says nothing any more")
                    continue
                try:
                    context.state.resendLast()
                except (OSError, TftpException) as error:
                    self._fail(session, f"the client is gone: {error}")

    def _requests(self) -> None:
        assert self._socket is not None
        for _ in range(REQUESTS_AT_ONCE):
            data, client = self._socket.recvfrom(REQUEST_LIMIT_BYTES + 1)
            if client in self._sessions or data[:2] == struct.pack("!H", ERROR):
                continue  # a request sent twice: the first answer is on its way, or sent again
            try:
                request = parse_request(data)
                self._begin(client, request, self._find(request))
            except Refusal as refusal:
                self._refuse(client, refusal)

    def _find(self, request: ReadRequest) -> Opened:
        try:
            opened = self._tree.open(request.path)
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror or error}"
            raise Refusal(UNDEFINED, reason, readable(request.path)) from error
        if opened is None:
            raise Refusal(NOT_FOUND, "there is no such file", readable(request.path))
        return opened

    def _begin(self, client: tuple[str, int], request: ReadRequest, opened: Opened) -> None:
        from_there = sum(1 for address, _ in self._sessions if address == client[0])
        if len(self._sessions) >= SESSIONS or from_there >= SESSIONS_PER_CLIENT:
            opened.file.close()
            raise Refusal(UNDEFINED, "too many transfers are under way", readable(request.path))
        context = _context(self.address, client, opened)
        path = readable(request.path)
        session = _Session(context, client[0], path, opened, time.monotonic())
        self._sessions[client] = session
        self.watch(context.sock, functools.partial(self._go_on, session))
        self.on_event(TftpAsked(client[0], path, opened.size_bytes))
        self._advance(session, lambda: _start(context, request, client))

    def _go_on(self, session: _Session) -> None:
        self._advance(session, session.context.cycle)

    def _advance(self, session: _Session, step: Callable[[], None]) -> None:
        """Let tftpy take one packet; whatever that raises ends this transfer alone."""
        from tftpy.TftpShared import TftpTimeoutExpectACK

        session.context.timeout_expectACK = False
        try:
            step()
        except (BlockingIOError, TimeoutError):
            return
        except TftpTimeoutExpectACK:
            session.context.timeout_expectACK = True
        except OSError as error:
            gone = error.errno == errno.ECONNREFUSED
            self._fail(session, "the client is gone" if gone else str(error))
        except Exception as error:  # noqa: BLE001 - tftpy raises struct.error and more on bad bytes
            self._fail(session, str(error) or type(error).__name__)
        else:
            if session.context.state is None:
                self._end(session)
                seconds = time.monotonic() - session.started
                size = session.opened.size_bytes
                self.on_event(TftpSent(session.client, session.path, size, round(seconds, 3)))

    def _fail(self, session: _Session, reason: str) -> None:
        self._end(session)
        self.on_event(TftpFailed(session.client, session.path, readable(reason)))

    def _end(self, session: _Session) -> None:
        for client, running in list(self._sessions.items()):
            if running is session:
                del self._sessions[client]
        with contextlib.suppress(KeyError):
            self.unwatch(session.context.sock)
        session.context.sock.close()
        session.opened.file.close()

    def _refuse(self, client: tuple[str, int], refusal: Refusal) -> None:
        """Answer with an error, from a port of its own as any answer (RFC 1350, 4)."""
        reason = str(refusal)
        answer = struct.pack("!HH", ERROR, refusal.code) + reason.encode("ascii", "replace")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            sock.bind((self.address, 0))
            quietly(sock, answer + b"\0", client)
        if self._refusals(f"{client[0]} {refusal.path} {reason}"):
            self.on_event(TftpRefused(client[0], refusal.path, reason))


def _context(address: str, client: tuple[str, int], opened: Opened) -> "TftpContextServer":
    """tftpy's side of one transfer, with a socket that hears its client alone."""
    from tftpy.TftpContexts import TftpContextServer

    context = TftpContextServer(
        *client,
        RESEND_SECONDS,
        NO_FOLDER,
        lambda _path, **_who: opened.file,
        retries=RESENDS,
        flock=False,
    )
    try:
        context.sock.bind((address, 0))
        context.sock.connect(client)
    except OSError:
        context.sock.close()
        raise
    context.last_update = time.time()
    return context


def _start(context: "TftpContextServer", request: ReadRequest, client: tuple[str, int]) -> None:
    """Hand the checked request to tftpy, which answers it."""
    from tftpy.TftpPacketTypes import TftpPacketRRQ
    from tftpy.TftpStates import TftpStateServerRecvRRQ

    class Reading(TftpStateServerRecvRRQ):  # type: ignore[misc]
        """tftpy's first state, but that it acknowledges no option that was not asked for."""

        def sendOACK(self) -> None:  # noqa: N802 - tftpy's name
            every = self.context.options
            self.context.options = {key: every[key] for key in request.options}
            super().sendOACK()
            self.context.options = every

    packet = TftpPacketRRQ()
    packet.filename = "file"  # found already; no name of a client's reaches a filesystem
    packet.mode = "octet"
    packet.options = {key: str(value) for key, value in request.options.items()}
    context.state = Reading(context).handle(packet, *client)
