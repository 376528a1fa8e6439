"""A proxy in front of Glance, or of Ironic, that counts image bytes, and fails where it is told to.

    with Proxy(services.glance.url) as proxy, proxy.in_front_of(services):
        proxy.fail(503, "PUT", "/file")
        ...
    assert proxy.sent_bytes == 0

It relays bytes and understands the head of a request alone, which is enough: it has the services
serve one request a connection.
"""

import contextlib
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tests.services.openstack import Services

HEAD_LIMIT_BYTES = 64 << 10
PIECE_BYTES = 256 << 10
TIMEOUT_SECONDS = 120
HEAD_END = b"\r\n\r\n"
SUCCESS = b"HTTP/1.1 2"
IMAGE_DATA = re.compile(r"/v2/images/[^/]+/(file|stage)$")
CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: close sends RST


@dataclass
class Fault:
    """What happens to the next `times` requests of `method` whose path holds `path`.

    Either they are answered with `status` and never reach the service, or the connection is cut
    on both sides once that many bytes of the body have passed, going up or coming down.
    """

    method: str
    path: str
    times: int
    status: int | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None


class Proxy:
    """Listens on a port of its own while the `with` block lasts.

    `sent_bytes` and `received_bytes` count image data alone, as it is on the wire, that was passed
    on to the service and to the client, counted before it goes: who has an answer may rely on the
    count. `requests` are all the requests seen, "PUT /v2/…". Each is under way for `away` seconds
    longer than it takes, as to a service that is so far off, there and back.
    """

    def __init__(self, target: str, away: float = 0.0) -> None:
        self.target = target
        self.away = away
        self.requests: list[str] = []
        self.sent_bytes = 0
        self.received_bytes = 0
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(self._handle)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def in_front_of(self, services: Services, kind: str = "image") -> Iterator[None]:
        """The catalog leads everybody here while the block lasts."""
        services.keystone.point(kind, self.url)
        try:
            yield
        finally:
            services.keystone.point(kind, self.target)

    def fail(self, status: int, method: str = "", path: str = "", times: int = 1) -> None:
        """Answer requests with `status` in Glance's place."""
        self._faults.append(Fault(method, path, times, status=status))

    def cut_sending(self, after_bytes: int, times: int = 1) -> None:
        """Cut uploads of image data once that much of the body has reached Glance."""
        self._faults.append(Fault("PUT", "/file", times, sent_bytes=after_bytes))

    def cut_receiving(self, after_bytes: int, times: int = 1) -> None:
        """Cut downloads of image data once that much of the body has reached the client."""
        self._faults.append(Fault("GET", "/file", times, received_bytes=after_bytes))

    def lose_answers(self, method: str, path: str, times: int = 1) -> None:
        """Have requests done, and cut their answers after the first byte."""
        self._faults.append(Fault(method, path, times, received_bytes=1))

    def mend(self) -> None:
        """No more faults."""
        self._faults.clear()

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.times and fault.method in ("", method) and fault.path in path:
                    fault.times -= 1
                    return fault
        return None

    def _handle(self, client: socket.socket) -> None:
        client.settimeout(TIMEOUT_SECONDS)
        head, rest = _head(client)
        if not head:
            return
        method, path = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
        path = path.partition("?")[0]
        self.requests.append(f"{method} {path}")
        fault = self._fault(method, path)
        if fault and fault.status:
            _answer(client, fault.status)
            return
        time.sleep(self.away)
        where = urlsplit(self.target)
        with socket.create_connection((where.hostname, where.port), TIMEOUT_SECONDS) as service:
            service.sendall(CONNECTION.sub(b"", head[:-4]) + b"\r\nConnection: close" + HEAD_END)
            relay = _Relay(self, client, service, fault, image=bool(IMAGE_DATA.search(path)))
            relay.both_ways(rest)

    def count(self, sent: int, received: int) -> None:
        """Add image bytes that passed."""
        with self._lock:
            self.sent_bytes += sent
            self.received_bytes += received


class _Relay:
    """One request on its way up and its answer on its way down."""

    def __init__(
        self,
        proxy: Proxy,
        client: socket.socket,
        service: socket.socket,
        fault: Fault | None,
        *,
        image: bool,
    ) -> None:
        self.proxy = proxy
        self.client = client
        self.service = service
        self.fault = fault or Fault("", "", 0)
        self.image = image

    def both_ways(self, body: bytes) -> None:
        sending = threading.Thread(target=self._send, args=(body,), daemon=True)
        sending.start()
        with contextlib.suppress(OSError):
            self._receive()
        for side in (self.client, self.service):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        sending.join()

    def _send(self, piece: bytes) -> None:
        """The request's body; a client that goes away takes its connection to the service along."""
        left = self.fault.sent_bytes
        try:
            while piece or (piece := self.client.recv(PIECE_BYTES)):
                piece = piece if left is None else piece[:left]
                self.proxy.count(len(piece) if self.image else 0, 0)
                self.service.sendall(piece)
                left = None if left is None else left - len(piece)
                if left == 0:
                    self._cut()
                    return
                piece = b""
            self.service.shutdown(socket.SHUT_WR)
        except OSError:
            with contextlib.suppress(OSError):
                self.service.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        head, piece = _head(self.service)
        self.client.sendall(head)
        left = self.fault.received_bytes
        while piece or (piece := self.service.recv(PIECE_BYTES)):
            piece = piece if left is None else piece[:left]
            self.proxy.count(0, len(piece) if self.image and head.startswith(SUCCESS) else 0)
            self.client.sendall(piece)
            left = None if left is None else left - len(piece)
            if left == 0:
                self._cut()
                return
            piece = b""

    def _cut(self) -> None:
        for side in (self.client, self.service):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                side.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    """A thread a connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.handle = handle

    def finish_request(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(OSError):  # one of the two sides is gone
            self.handle(request)


def _head(source: socket.socket) -> tuple[bytes, bytes]:
    """The head of a message with its empty line, and what of the body came with it."""
    data = b""
    while HEAD_END not in data and len(data) < HEAD_LIMIT_BYTES:
        piece = source.recv(PIECE_BYTES)
        if not piece:
            return b"", data
        data += piece
    head, end, rest = data.partition(HEAD_END)
    return head + end, rest


def _answer(client: socket.socket, status: int) -> None:
    """Answer without the service, and let the client finish: a reset would hide the answer."""
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    client.sendall(f"{line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    client.shutdown(socket.SHUT_WR)
    while client.recv(PIECE_BYTES):
        pass
