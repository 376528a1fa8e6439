"""An HTTP/1.1 server for large files and for one small API, with TLS where it is given one.

Each connection has a thread; their number is bounded, and so is what each may take of it
(`http_connection`).
"""

import contextlib
import functools
import socket
import socketserver
import ssl
import threading
from types import TracebackType
from typing import Self

from bakery.netboot.http_connection import NAME, Connection, Site
from bakery.netboot.http_message import Routes
from bakery.netboot.loop import SO_BINDTODEVICE, cannot_serve
from bakery.netboot.shares import Known, Shares, nobody
from bakery.netboot.tls import handshake
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http, Seldom, Sink, Trouble, readable

_Accepted = socket.socket | tuple[bytes, socket.socket]

CONNECTIONS, CONNECTIONS_PER_CLIENT = 64, 16
REQUEST_SECONDS = 20.0
BODY_LIMIT_BYTES = 64 << 10
BACKLOG = 128


class HttpServer:
    """Serves a tree of files, and routes, by HTTP on one IPv4 address; port 0 takes any free one.

    With `tls`, by HTTPS alone.

    `routes` maps (method, regular expression of the whole path) to a handler, which is called in
    the connection's thread; routes are tried before files. `body_limit` is in bytes,
    `request_seconds` are those a request may take to arrive. `port` is the one in use after
    `start`. Who comes when there are `connections`, or CONNECTIONS_PER_CLIENT of its own, is sent
    away; `reserved` of all are kept for `known` clients.
    """

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
        reserved: int = 0,
        known: Known = nobody,
        request_seconds: float = REQUEST_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self._tls = tls
        self._shares = Shares(connections, CONNECTIONS_PER_CLIENT, reserved, known)
        self._site = Site(
            tree, routes or {}, on_event, body_limit=body_limit, request_seconds=request_seconds
        )
        self._interface = interface
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.address}:{self.port}"

    def start(self) -> Self:
        """Take the port and serve; BakeryError where it cannot be had."""
        place = (self.address, self.port)
        try:
            self._listener = _Listener(place, self._site, self._shares, self._interface, self._tls)
        except OSError as error:
            raise cannot_serve(error, NAME, place, self._interface) from error
        self.port = self._listener.socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.1,), name=NAME, daemon=True
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


class _Listener(socketserver.ThreadingTCPServer):
    """Accepts connections, so many at a time, and can break all of them off."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(
        self,
        place: tuple[str, int],
        site: Site,
        shares: Shares,
        interface: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._site, self._tls = site, tls
        self._interface = interface
        self._shares = shares
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._seldom = Seldom()
        super().__init__(place, functools.partial(Connection, site))

    def server_bind(self) -> None:
        if self._interface:
            device = self._interface.encode() + b"\0"
            self.socket.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """The next connection; what TLS asks of it is left to its thread."""
        accepted, client = super().get_request()
        if self._tls is None:
            return accepted, client
        try:
            return (
                self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False),
                client,
            )
        except BaseException:
            accepted.close()
            raise

    def process_request(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        if not self._shares.take(client_address[0]):
            self._tell_seldom(
                f"full {client_address[0]}",
                Http(client_address[0], "", "", 503, reason="too many connections"),
            )
            self.shutdown_request(request)
            return
        assert isinstance(request, socket.socket)
        with self._lock:
            self._open.add(request)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._let_go(request, client_address)
            raise

    def process_request_thread(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        assert isinstance(request, socket.socket)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._let_go(request, client_address)

    def finish_request(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        if isinstance(request, ssl.SSLSocket):
            reason = handshake(request, self._site.request_seconds)
            if reason:
                trouble = Trouble(NAME, readable(f"{client_address[0]}: TLS: {reason}"))
                self._tell_seldom(f"tls {client_address[0]}", trouble)
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: _Accepted, client_address: tuple[str, int]) -> None:
        """A connection that broke is told where it mattered; nothing goes to standard error."""

    def end(self) -> None:
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    # That of TLS would first go back to plain bytes, under a thread that sends.
                    socket.socket.shutdown(request, socket.SHUT_RDWR)
        self.server_close()

    def _tell_seldom(self, key: str, event: Event) -> None:
        """An event that a client can cause as often as it likes."""
        with self._lock:
            due = self._seldom(key)
        if due:
            self._site.on_event(event)

    def _let_go(self, request: socket.socket, client_address: tuple[str, int]) -> None:
        with self._lock:
            self._open.discard(request)
        self._shares.give_back(client_address[0])
