"""An HTTP/1.1 server for large files and for one small API.

Files are handed to the kernel (sendfile(2)), so that a ramdisk goes out as fast as the wire takes
it. Each connection has a thread; their number, the time a request may take to arrive, the time an
answer may take to be fetched and the size of a body are bounded.
"""

import contextlib
import http.server
import io
import re
import socket
import socketserver
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bakery.serve.events import Http, Seldom, Sink, Trouble, readable
from bakery.serve.http_message import (
    Handler,
    Refused,
    Request,
    Response,
    Routes,
    matches,
    piece,
    split_target,
)
from bakery.serve.loop import SO_BINDTODEVICE, cannot_serve
from bakery.serve.tree import Opened, Tree

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_Accepted = socket.socket | tuple[bytes, socket.socket]

CONNECTIONS = 64
REQUEST_SECONDS = 20.0
# A client that takes less than this is none that boots.
LEAST_BYTES_PER_SECOND = 16 << 10
BODY_LIMIT_BYTES = 64 << 10
SEND_BYTES = 4 << 20
BACKLOG = 128
LINGER_SECONDS, LINGER_BYTES = 2.0, 1 << 20


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler


class HttpServer:
    """Serves a tree of files, and routes, by HTTP on one IPv4 address; port 0 takes any free one.

    `routes` maps (method, regular expression of the whole path) to a handler, which is called in
    the connection's thread; routes are tried before files. `body_limit` is in bytes. `port` is
    the one in use after `start`. Who comes when there are `connections` is sent away.
    """

    name = "HTTP"

    def __init__(
        self,
        address: str,
        tree: Tree,
        on_event: Sink,
        *,
        port: int = 0,
        interface: str = "",
        routes: Routes | None = None,
        body_limit: int = BODY_LIMIT_BYTES,
        connections: int = CONNECTIONS,
    ) -> None:
        self.address = address
        self.port = port
        self.tree = tree
        self.on_event = on_event
        self.body_limit = body_limit
        self.connections = connections
        self._interface = interface
        self._routes = [
            _Route(method, re.compile(pattern, re.ASCII), handler)
            for (method, pattern), handler in (routes or {}).items()
        ]
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return f"http://{self.address}:{self.port}"

    def start(self) -> Self:
        """Take the port and serve; BakeryError where it cannot be had."""
        place = (self.address, self.port)
        try:
            self._listener = _Listener(place, self, self._interface)
        except OSError as error:
            raise cannot_serve(error, self.name, place, self._interface) from error
        self.port = self._listener.socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.1,), name=self.name, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, break off what is under way, and wait for its threads."""
        if self._listener is not None and self._thread is not None:
            self._listener.shutdown()
            self._thread.join()
            self._listener.end()
            self._listener = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def route(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """Who answers, and the named groups; None where no route has this path.

        Refused with status 405 where one has the path for other methods alone.
        """
        allowed = []
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match and route.method == method:
                return route.handler, {k: v for k, v in match.groupdict().items() if v is not None}
            if match:
                allowed.append(route.method)
        if allowed:
            raise Refused(405, "not by this method", {"Allow": ", ".join(allowed)})
        return None


class _Listener(socketserver.ThreadingTCPServer):
    """Accepts connections, so many at a time, and can break all of them off."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self, place: tuple[str, int], owner: HttpServer, interface: str) -> None:
        self.owner = owner
        self._interface = interface
        self._slots = threading.BoundedSemaphore(owner.connections)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._seldom = Seldom()
        super().__init__(place, _Connection)

    def server_bind(self) -> None:
        if self._interface:
            device = self._interface.encode() + b"\0"
            self.socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
        super().server_bind()

    def process_request(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        if not self._slots.acquire(blocking=False):
            if self._seldom(client_address[0]):
                self.owner.on_event(
                    Http(client_address[0], "", "", 503, reason="too many connections")
                )
            self.shutdown_request(request)
            return
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._let_go(request)
            raise

    def process_request_thread(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        assert isinstance(request, socket.socket)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._let_go(request)

    def handle_error(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        """A connection that broke is told where it mattered; nothing goes to standard error."""

    def end(self) -> None:
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def _let_go(self, request: socket.socket) -> None:
        with self._lock:
            self._open.discard(request)
        self._slots.release()


class _Timed(io.RawIOBase):
    """Reads from a socket until a deadline that `allow` sets, however few bytes come at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._socket.settimeout(left)
        return self._socket.recv_into(buffer)


class _Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # an answer to garbage has a status, too
    server_version = "bakery"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s\n"
    server: _Listener
    command: str

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lingers = False
        self._input = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._input)

    def finish(self) -> None:
        """Take what the client is still sending to a refused request, or the answer gets lost.

        Closing a socket with unread bytes resets the connection (RFC 9112, 9.6).
        """
        super().finish()
        if self._lingers:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)
                self._input.allow(LINGER_SECONDS)
                sink = bytearray(64 << 10)
                for _ in range(LINGER_BYTES // len(sink)):
                    if not self._input.readinto(sink):
                        break

    def handle_one_request(self) -> None:
        self._input.allow(REQUEST_SECONDS)
        self.command = self.path = ""
        self._status = self._sent = 0
        self._reason = ""
        self._started = time.monotonic()
        try:
            super().handle_one_request()
        except (OSError, ValueError) as error:
            self._reason = self._reason or readable(str(error) or type(error).__name__)
            self.close_connection = True
        finally:
            self._tell()

    def parse_request(self) -> bool:
        self._started = time.monotonic()
        return super().parse_request()

    def do_GET(self) -> None:
        """Any request: by a route, or a file."""
        try:
            self._dispatch()
        except Refused as refusal:
            self._refuse(refusal)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815

    def handle_expect_100(self) -> bool:
        """Ask for a body only if it will be read."""
        try:
            self._body_length()
        except Refused as refusal:
            self._refuse(refusal)
            return False
        return super().handle_expect_100()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self._reason = readable(message or "malformed request")
        super().send_error(code, self._reason, explain)

    def version_string(self) -> str:
        return self.server_version

    def send_response_only(self, code: int, message: str | None = None) -> None:
        self._status = code
        super().send_response_only(code, message)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing is logged: `_tell` has it."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """What the base class gave up on: a request or an answer that took too long."""
        self._reason = self._reason or readable(format % args)

    def _dispatch(self) -> None:
        owner = self.server.owner
        path, query = split_target(self.path)
        body = self._body()
        found = owner.route(self.command, path)
        if found is None:
            self._file(path)
            return
        handler, parameters = found
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, path, parameters, query, headers, body, self.client_address[0]
        )
        self._respond(self._answer(handler, request))

    def _answer(self, handler: Handler, request: Request) -> Response:
        """What a route answers; a defect in one is told and ends no connection but this."""
        try:
            return handler(request)
        except Exception as error:
            reason = readable(f"{self.command} {request.path}: {type(error).__name__}: {error}")
            self.server.owner.on_event(Trouble(HttpServer.name, reason))
            raise Refused(500, "the server failed") from error

    def _body_length(self) -> int:
        """How long the body is; Refused where that is not said, or too much."""
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "say the length of the body")
        lengths = self.headers.get_all("Content-Length") or []
        if not lengths:
            if self.command in ("POST", "PUT", "PATCH"):
                raise Refused(411, "say the length of the body")
            return 0
        if len(set(lengths)) > 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0], re.ASCII):
            raise Refused(400, "the length of the body is malformed")
        if int(lengths[0]) > self.server.owner.body_limit:
            raise Refused(413, "the body is too large")
        return int(lengths[0])

    def _body(self) -> bytes:
        length = self._body_length()
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            self.close_connection = True
            raise Refused(400, "the body is shorter than it says")
        return body

    def _file(self, path: str) -> None:
        if self.command not in ("GET", "HEAD"):
            raise Refused(405, "files are only read", {"Allow": "GET, HEAD"})
        try:
            opened = self.server.owner.tree.open(path)
        except OSError as error:
            raise Refused(500, f"the file cannot be read: {error.strerror or error}") from error
        if opened is None:
            raise Refused(404, "there is no such file")
        with opened.file:
            self._send_file(opened)

    def _send_file(self, opened: Opened) -> None:
        tag = f'"{opened.tag}"'
        if matches(self.headers.get("If-None-Match"), opened.tag):
            self._head(304, {"ETag": tag}, None)
            return
        wanted = self.headers.get("Range") if self.command == "GET" else None
        if self.headers.get("If-Range", tag) != tag:
            wanted = None
        part = piece(wanted, opened.size_bytes)
        head = {"ETag": tag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if part is None:
            start, length, status = 0, opened.size_bytes, 200
        else:
            start, length, status = part.offset, part.length, 206
            last = start + length - 1
            head["Content-Range"] = f"bytes {start}-{last}/{opened.size_bytes}"
        self._head(status, head, length)
        if self.command == "GET":
            self._send(opened, start, length)

    def _send(self, opened: Opened, start: int, length: int) -> None:
        """The bytes themselves, in pieces, so that a client that takes none is given up."""
        deadline = time.monotonic() + REQUEST_SECONDS + length / LEAST_BYTES_PER_SECOND
        while self._sent < length:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the client takes the file too slowly")
            self.connection.settimeout(min(left, REQUEST_SECONDS))
            count = min(SEND_BYTES, length - self._sent)
            sent = self.connection.sendfile(opened.file, start + self._sent, count)
            if not sent:
                raise OSError("the file became shorter while it was sent")
            self._sent += sent

    def _respond(self, response: Response) -> None:
        head = {"Content-Type": response.content_type, **response.headers}
        self._head(response.status, head, len(response.body))
        self._write(response.body)

    def _refuse(self, refusal: Refused) -> None:
        """An error. What is left of the request is not read, so the connection ends."""
        self._reason = str(refusal)
        self.close_connection = self._lingers = True
        body = f"{refusal}\n".encode("utf-8", "replace")
        head = {"Content-Type": self.error_content_type, "Connection": "close", **refusal.headers}
        self._head(refusal.status, head, len(body))
        self._write(body)

    def _head(self, status: int, head: dict[str, str], length: int | None) -> None:
        self.connection.settimeout(REQUEST_SECONDS)
        self.send_response(status)
        for name, value in head.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _write(self, body: bytes) -> None:
        if self.command != "HEAD" and body:
            self.wfile.write(body)
            self._sent += len(body)

    def _tell(self) -> None:
        """One event for each request that was one; a connection that only closes is none."""
        if not (self._status or self.command):
            return
        self.server.owner.on_event(
            Http(
                client=self.client_address[0],
                method=readable(self.command or ""),
                path=readable(self.path or ""),
                status=self._status,
                sent_bytes=self._sent,
                seconds=round(time.monotonic() - self._started, 3),
                reason=self._reason,
            )
        )
