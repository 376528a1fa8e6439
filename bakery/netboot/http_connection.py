"""The requests of one HTTP connection: a route answers, or a file is sent.

Files are handed to the kernel (sendfile(2)), so that a ramdisk goes out as fast as the wire takes
it; with TLS they are encrypted here. The time a request may take to arrive, the rate at which an
answer is fetched and the size of a body are bounded.
"""

import contextlib
import http.server
import io
import os
import re
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.netboot.http_message import (
    Handler,
    Refused,
    Request,
    Response,
    Routes,
    masked,
    matches,
    piece,
    split_target,
)
from bakery.netboot.overlaid import OverlaidFile, Span
from bakery.netboot.tree import Asker, Forbidden, Opened, Tree
from bakery.netboot.wire_events import Http, Sink, Trouble, readable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

NAME = "HTTP"
# A client that takes less than this is none that boots.
LEAST_BYTES_PER_SECOND = 16 << 10
SEND_BYTES = 4 << 20
ENCRYPT_BYTES = 256 << 10
LOOK_MILLISECONDS = 500
LINGER_SECONDS, LINGER_BYTES = 2.0, 1 << 20
SHRANK = "the file shrank while it was being sent"


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler


class Site:
    """What is served, within which bounds, and who is told.

    `body_limit` is in bytes. `request_seconds` are those a request may take to arrive.
    """

    def __init__(
        self, tree: Tree, routes: Routes, on_event: Sink, *, body_limit: int, request_seconds: float
    ) -> None:
        self.tree = tree
        self.on_event = on_event
        self.body_limit = body_limit
        self.request_seconds = request_seconds
        self._routes = [
            _Route(method, re.compile(pattern, re.ASCII), handler)
            for (method, pattern), handler in routes.items()
        ]

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
            raise Refused(405, "this method is not allowed", {"Allow": ", ".join(allowed)})
        return None


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


class _Pace:
    """A least rate: what was sent quickly before is no credit for later."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._mark, self._since = seconds, 0, time.monotonic()

    def check(self, sent: int) -> None:
        """TimeoutError where too few bytes went in the last `seconds`; `sent` is their number."""
        now = time.monotonic()
        if now - self._since < self._seconds:
            return
        if sent - self._mark < LEAST_BYTES_PER_SECOND * self._seconds:
            raise TimeoutError("the client reads the file too slowly")
        self._mark, self._since = sent, now


class Connection(http.server.BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # an answer to garbage has a status, too
    server_version = "bakery"
    sys_version = ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(message)s\n"
    command: str

    def __init__(self, site: Site, *accepted: Any) -> None:  # noqa: ANN401 - as socketserver has it
        self.site = site
        super().__init__(*accepted)

    def setup(self) -> None:
        """Read from the socket under the request's deadline."""
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
        """Serve the next request, and tell how it ended."""
        self._input.allow(self.site.request_seconds)
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
        """Count time from the request's first line, not from the wait for it."""
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
        """What the base class refuses by itself; its reason is told, too."""
        self._reason = readable(message or "malformed request")
        super().send_error(code, self._reason, explain)

    def version_string(self) -> str:
        """No version of Python's in an answer."""
        return self.server_version

    def send_response_only(self, code: int, message: str | None = None) -> None:
        """Keep the status for the event."""
        self._status = code
        super().send_response_only(code, message)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing is logged: `_tell` has it."""

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """What the base class gave up on: a request or an answer that took too long."""
        self._reason = self._reason or readable(format % args)

    def _dispatch(self) -> None:
        path, query = split_target(self.path)
        body = self._body()
        found = self.site.route(self.command, path)
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
            self.site.on_event(Trouble(NAME, reason))
            raise Refused(500, "the server failed") from error

    def _body_length(self) -> int:
        """How long the body is; Refused where that is not said, or too much."""
        if "Transfer-Encoding" in self.headers:
            raise Refused(411, "the request must state the length of its body")
        lengths = self.headers.get_all("Content-Length") or []
        if not lengths:
            if self.command in ("POST", "PUT", "PATCH"):
                raise Refused(411, "the request must state the length of its body")
            return 0
        if len(set(lengths)) > 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0], re.ASCII):
            raise Refused(400, "the length of the body is malformed")
        if int(lengths[0]) > self.site.body_limit:
            raise Refused(413, "the body is too large")
        return int(lengths[0])

    def _body(self) -> bytes:
        length = self._body_length()
        body = self.rfile.read(length) if length else b""
        if len(body) < length:
            self.close_connection = True
            raise Refused(400, "the body is shorter than stated")
        return body

    def _file(self, path: str) -> None:
        if self.command not in ("GET", "HEAD"):
            raise Refused(405, "files can only be read", {"Allow": "GET, HEAD"})
        try:
            asker = Asker(self.client_address[0], self.headers.get("X-Auth-Token", "").strip())
            opened = self.site.tree.open(path, asker)
        except Forbidden as error:
            raise Refused(403, str(error)) from None
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
            if length == opened.size_bytes:
                opened.taken()

    def _send(self, opened: Opened, start: int, length: int) -> None:
        """The bytes themselves, in pieces, so that a client that takes too few is given up."""
        if isinstance(opened.file, io.BytesIO):
            self._write(opened.file.getvalue()[start : start + length])
            return
        pace = _Pace(self.site.request_seconds)
        if not isinstance(opened.file, OverlaidFile):
            self._send_span(opened.file.fileno(), Span(start, length), pace)
            return
        for part in opened.file.overlaid.pieces(start, length):
            if isinstance(part, bytes):
                self._write(part)
            else:
                self._send_span(opened.file.file.fileno(), part, pace)

    def _send_span(self, source: int, span: Span, pace: _Pace) -> None:
        """A part of a file: by the kernel, or read and encrypted here."""
        if isinstance(self.connection, ssl.SSLSocket):
            self._send_encrypted(source, span, pace)
            return
        writable = select.poll()
        writable.register(self.connection, select.POLLOUT)
        target, offset, end = self.connection.fileno(), span.offset, span.offset + span.length
        while offset < end:
            pace.check(self._sent)
            if not writable.poll(LOOK_MILLISECONDS):
                continue
            with contextlib.suppress(BlockingIOError):
                sent = os.sendfile(target, source, offset, min(SEND_BYTES, end - offset))
                if not sent:
                    raise OSError(SHRANK)
                offset += sent
                self._sent += sent

    def _send_encrypted(self, source: int, span: Span, pace: _Pace) -> None:
        """Each piece within the time of a request, all at the least rate."""
        offset, end = span.offset, span.offset + span.length
        while offset < end:
            pace.check(self._sent)
            piece = os.pread(source, min(ENCRYPT_BYTES, end - offset), offset)
            if not piece:
                raise OSError(SHRANK)
            self.connection.sendall(piece)
            offset += len(piece)
            self._sent += len(piece)

    def _respond(self, response: Response) -> None:
        self._reason = readable(response.reason)
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
        self.connection.settimeout(self.site.request_seconds)
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
        self.site.on_event(
            Http(
                client=self.client_address[0],
                method=readable(self.command or ""),
                path=readable(masked((self.path or "").partition("?")[0])),
                status=self._status,
                sent_bytes=self._sent,
                seconds=round(time.monotonic() - self._started, 3),
                reason=self._reason,
            )
        )
