"""The wire of the lab's Redfish BMCs: HTTPS, with bounds on what a client may send and take up."""

import contextlib
import http.client
import json
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import msgspec

from bakery.lab.authority import Authority
from bakery.lab.redfish_bmc import Method, RedfishBmc, Reply
from bakery.netboot.shares import Shares
from bakery.netboot.tls import handshake

BODY_LIMIT_BYTES = 64 << 10
CLIENTS_LIMIT, CLIENTS_EACH = 16, 4
"""At a time, and of one address: a guest of the lab is a client, too."""
SILENCE_SECONDS = 20.0
TOO_LARGE, BAD_REQUEST = 413, 400


class RedfishServer(ThreadingHTTPServer):
    """One BMC at an address and port; each client has a thread of its own."""

    timeout = 0.0  # whoever asks it to take a client has seen that there is one
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, bmc: RedfishBmc, address: str, port: int, authority: Authority) -> None:
        self.bmc = bmc
        self._places = Shares(CLIENTS_LIMIT, CLIENTS_EACH)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(authority.certificate, authority.key)
        super().__init__((address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve a client, if there is a place; the handshake is its thread's."""
        if not self._places.take(client_address[0]):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.give_back(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """In the client's own thread."""
        try:
            request.settimeout(SILENCE_SECONDS)
            with contextlib.suppress(OSError):
                spoken = self._context.wrap_socket(
                    request, server_side=True, do_handshake_on_connect=False
                )
                if not handshake(spoken, SILENCE_SECONDS):
                    spoken.settimeout(SILENCE_SECONDS)
                    super().process_request_thread(spoken, client_address)
        finally:
            self.shutdown_request(request)
            self._places.give_back(client_address[0])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A client that went away is nobody's fault."""


class Place(msgspec.Struct, frozen=True):
    """A BMC, and the address and TCP port that are its own; port 0 takes a free one."""

    bmc: RedfishBmc
    address: str
    port: int


@contextlib.contextmanager
def serving(places: Sequence[Place], authority: Authority) -> Iterator[tuple[int, ...]]:
    """The BMCs on the wire for the length of the `with` block; gives their ports.

    OSError where an address cannot be had.
    """
    with contextlib.ExitStack() as stack:
        servers = []
        for place in places:
            server = RedfishServer(place.bmc, place.address, place.port, authority)
            stack.callback(server.server_close)
            servers.append(server)
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        thread = threading.Thread(target=_accept, args=(servers, theirs), daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(ours.shutdown, socket.SHUT_RDWR)
        yield tuple(server.server_address[1] for server in servers)


def _accept(servers: Sequence[RedfishServer], end: socket.socket) -> None:
    """Take what clients come, until the other end of a connection is shut."""
    with selectors.DefaultSelector() as selector:
        selector.register(end, selectors.EVENT_READ)
        for server in servers:
            selector.register(server, selectors.EVENT_READ, server)
        while True:
            for key, _events in selector.select():
                if key.data is None:
                    return
                key.data.handle_request()


class _Handler(BaseHTTPRequestHandler):
    """One connection; its requests go to the BMC one after the other."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "bakery-lab", ""
    timeout = SILENCE_SECONDS

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self._tell(Reply(BAD_REQUEST), last=True)
            return
        if len(length) > 9 or int(length) > BODY_LIMIT_BYTES:
            self._tell(Reply(TOO_LARGE), last=True)
            return
        reply = cast("RedfishServer", self.server).bmc.answer(
            cast("Method", self.command),
            self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            client=self.client_address[0],
        )
        self._tell(reply)

    do_GET = do_HEAD = do_PATCH = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _tell(self, reply: Reply, *, last: bool = False) -> None:
        xml = isinstance(reply.body, str)
        text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        body = b"" if reply.body is None else text.encode()
        self.close_connection = last or self.close_connection
        self.send_response(reply.status, http.client.responses.get(reply.status))
        headers = {"OData-Version": "4.0", "Cache-Control": "no-store"} | dict(reply.headers)
        if body:
            headers["Content-Type"] = f"application/{'xml' if xml else 'json'};charset=utf-8"
        headers["Content-Length"] = str(len(body))
        headers |= {"Connection": "close"} if self.close_connection else {}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        """Nobody reads it, and anybody could fill a disk with it."""
