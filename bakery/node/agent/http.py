"""Ranges of a file by HTTP/1.1 (RFC 9110, 14), several after one another on one connection.

Spoken on a plain socket: what Python brings for it takes a quarter of a second to load.
"""

import re
import socket
import time
from typing import NamedTuple

from .errors import AgentError

URL = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/[!-~]*)")
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
RANGE = re.compile(rb"\r\ncontent-range:[ \t]*bytes ([0-9]{1,18})-([0-9]{1,18})/", re.IGNORECASE)
HEAD_LIMIT = 65536
SILENCE_SECONDS = 20.0
LEAST_BYTES_PER_SECOND = 16 << 10  # a server that gives less is none to wait for
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


class Place(NamedTuple):
    """Where a file is."""

    host: str
    port: int
    path: str


class Refused(AgentError):
    """The server has not what was asked for; asking again would bring the same."""


def parse(url: str) -> Place:
    """The parts of a URL; AgentError where the agent cannot fetch from it."""
    match = URL.fullmatch(url)
    if not match:
        raise AgentError(f"the image's address is not of the form http://HOST[:PORT]/PATH: {url}")
    return Place(match[1].strip("[]"), int(match[2] or 80), match[3])


def fetch(place: Place, limit: int, token: str, patience: float, body: bytes = b"") -> bytes:
    """A file as a whole, asked for again for `patience` seconds while nobody can give it.

    Where there is a `body`, it is posted.
    """
    deadline, pause = time.monotonic() + patience, FIRST_PAUSE
    while True:
        try:
            with Connection(place, token) as connection:
                return connection.whole(limit, body)
        except OSError as error:
            reason = error.strerror or str(error)
        if time.monotonic() + pause > deadline:
            raise AgentError(f"{place.host}:{place.port} did not answer: {reason}")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


class _Paced:
    """What comes of a socket; TimeoutError where it comes too slowly.

    Of every SILENCE_SECONDS that were spent in waiting, each second has to bring its share: a byte
    now and then is no answer. A head is shorter than that share, and so has one such time in all.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link, self._got, self._waited = link, 0, 0.0

    def into(self, view: memoryview) -> int:
        """The next bytes are in `view`: how many, 0 where the other end has closed."""
        started = time.monotonic()
        self._link.settimeout(max(0.001, SILENCE_SECONDS - self._waited))
        try:
            got = self._link.recv_into(view)
        except TimeoutError:
            got = -1
        self._waited += time.monotonic() - started
        self._got += max(0, got)
        if got < 0 or self._waited >= SILENCE_SECONDS:
            if self._got < LEAST_BYTES_PER_SECOND * SILENCE_SECONDS:
                raise TimeoutError(0, "the server sends too slowly")
            self._got, self._waited = 0, 0.0
        return got if got >= 0 else self.into(view)


class Connection:
    """A connection to the server of one file; OSError where it breaks, `with` closes it."""

    def __init__(self, place: Place, token: str = "") -> None:
        self._place = place
        self._token = f"X-Auth-Token: {token}\r\n" if token else ""
        kind, _, _, _, where = socket.getaddrinfo(
            place.host.encode("ascii"), place.port, type=socket.SOCK_STREAM
        )[0]
        self._link = socket.socket(kind, socket.SOCK_STREAM)
        self._link.settimeout(SILENCE_SECONDS)
        self._rest = b""
        self._paced = _Paced(self._link)
        try:
            self._link.connect(where)
        except OSError:
            self._link.close()
            raise

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def whole(self, limit: int, body: bytes = b"") -> bytes:
        """The file, which has at most `limit` bytes; a `body` is posted."""
        length = self._ask("", 200, body)[0]
        if length > limit:
            raise Refused(f"{self._place.path} has {length} bytes, but at most {limit} are allowed")
        return self.take(length)

    def ask(self, start: int, length: int) -> None:
        """Ask for a range; `take` then brings its bytes."""
        got, first = self._ask(f"Range: bytes={start}-{start + length - 1}\r\n", 206)
        if (got, first) != (length, start):
            raise Refused(f"{self._place.path} ends before byte {start + length}")

    def take(self, count: int) -> bytes:
        """The next bytes of what was asked for."""
        content = bytearray(count)
        view = memoryview(content)
        kept = min(count, len(self._rest))
        view[:kept], self._rest = self._rest[:kept], self._rest[kept:]
        view = view[kept:]
        while view:
            got = self._paced.into(view)
            if not got:
                raise ConnectionResetError("the connection was closed early")
            view = view[got:]
        return bytes(content)

    def _ask(self, extra: str, wanted: int, body: bytes = b"") -> tuple[int, int]:
        """Send a request: the bytes that follow, and from which byte of the file on."""
        place = self._place
        host = f"[{place.host}]" if ":" in place.host else place.host
        extra += f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{'POST' if body else 'GET'} {place.path} HTTP/1.1\r\nHost: {host}:{place.port}\r\n"
        self._link.sendall(f"{head}{self._token}{extra}\r\n".encode("ascii") + body)
        self._paced = _Paced(self._link)
        answer = self._head()
        self._paced = _Paced(self._link)
        status, length, part = STATUS.match(answer), LENGTH.search(answer), RANGE.search(answer)
        if not status or not length:
            raise OSError(0, "the answer is not HTTP")
        if int(status[1]) >= 500:
            raise OSError(0, f"HTTP {int(status[1])}")
        if int(status[1]) != wanted or (wanted == 206 and not part):
            raise Refused(f"{place.path}: HTTP {int(status[1])}")
        return int(length[1]), int(part[1]) if part else 0

    def _head(self) -> bytes:
        room = memoryview(bytearray(HEAD_LIMIT))
        while b"\r\n\r\n" not in self._rest:
            got = self._paced.into(room)
            if not got or len(self._rest) > HEAD_LIMIT:
                raise ConnectionResetError("the connection was closed early")
            self._rest += room[:got].tobytes()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + b"\r\n"
