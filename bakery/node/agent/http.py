"""Ranges of a file by HTTP/1.1 (RFC 9110, 14), several after one another on one connection.

Spoken on a plain socket: what Python brings for it takes a quarter of a second to load. Proxies may
stand between; one that changes what it hands on is asked not to (RFC 9110, 12.5.3; RFC 9111,
5.2.1.6), and refused where it does.
"""

import re
import socket
import time
from typing import NamedTuple

from . import not_now
from .errors import AgentError
from .not_now import NotNow
from .way import Way

URL = re.compile(r"http://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(/[!-~]*)")
STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b")
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
RANGE = re.compile(
    rb"\r\ncontent-range:[ \t]*bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)[ \t]*\r\n",
    re.IGNORECASE,
)
CHANGED = re.compile(
    rb"\r\n(content-encoding|transfer-encoding):[ \t]*([!-~]{1,40})[ \t]*\r\n", re.IGNORECASE
)
UNCHANGED = "Accept-Encoding: identity\r\nCache-Control: no-transform\r\n"
INTERIM_LIMIT = 8
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
    deadline, pause, way = time.monotonic() + patience, FIRST_PAUSE, Way(place.host, place.port)
    while True:
        try:
            with Connection(place, token, way) as connection:
                return connection.whole(limit, body)
        except OSError as error:
            way.failed()
            reason = error.strerror or str(error)
            wait = max(pause, error.wait if isinstance(error, NotNow) else 0)
        if time.monotonic() + wait > deadline:
            raise AgentError(f"{place.host}:{place.port} did not answer: {reason}")
        time.sleep(wait)
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
    """A connection to the server of one file; OSError where it breaks, `with` closes it.

    NotNow, which is one, where the server says so. `way` knows which of its addresses is good.
    """

    def __init__(self, place: Place, token: str = "", way: Way | None = None) -> None:
        self._place = place
        self._token = f"X-Auth-Token: {token}\r\n" if token else ""
        self._rest = b""
        self._link = (way or Way(place.host, place.port)).connect(SILENCE_SECONDS)
        self._paced = _Paced(self._link)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def whole(self, limit: int, body: bytes = b"") -> bytes:
        """The file, which has at most `limit` bytes; a `body` is posted."""
        length = self._length(self._ask("", (200,), body)[1])
        if length > limit:
            raise Refused(f"{self._place.path} has {length} bytes, but at most {limit} are allowed")
        return self.take(length)

    def ask(self, start: int, length: int) -> None:
        """Ask for a range; `take` then brings its bytes."""
        last = start + length - 1
        status, head = self._ask(f"Range: bytes={start}-{last}\r\n", (206, 200))
        part, got = RANGE.search(head), self._length(head)
        if status == 200 and (start, got) == (0, length):
            return
        if not part:
            what = "the whole file" if status == 200 else "another part"
            raise Refused(
                f"{self._place.path}: {what} comes where bytes {start}-{last} were asked for"
            )
        if part[3] != b"*" and int(part[3]) <= last:
            raise Refused(f"{self._place.path} ends before byte {start + length}")
        if (int(part[1]), int(part[2]), got) != (start, last, length):
            told = f"{int(part[1])}-{int(part[2])}, {got} bytes,"
            raise Refused(
                f"{self._place.path}: {told} come where bytes {start}-{last} were asked for"
            )

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

    def _ask(self, extra: str, wanted: tuple[int, ...], body: bytes = b"") -> tuple[int, bytes]:
        """Send a request: the answer's status, one of `wanted`, and its header fields."""
        place = self._place
        host = f"[{place.host}]" if ":" in place.host else place.host
        extra += f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{'POST' if body else 'GET'} {place.path} HTTP/1.1\r\nHost: {host}:{place.port}\r\n"
        self._link.sendall(f"{head}{UNCHANGED}{self._token}{extra}\r\n".encode("ascii") + body)
        self._paced = _Paced(self._link)
        status, answer = self._answer()
        self._paced = _Paced(self._link)
        not_now.check(status, answer)
        if status not in wanted:
            raise Refused(f"{place.path}: HTTP {status}")
        for name, value in CHANGED.findall(answer):
            if value.lower() != b"identity":
                told = f"{name.decode().lower()}: {value.decode()}"
                raise Refused(f"{place.path}: the server, or a proxy, has changed it ({told})")
        return status, answer

    def _answer(self) -> tuple[int, bytes]:
        """The first answer that is not an interim one (1xx)."""
        for _ in range(INTERIM_LIMIT):
            answer = self._head()
            status = STATUS.match(answer)
            if not status:
                break
            if int(status[1]) >= 200:
                return int(status[1]), answer
        raise OSError(0, "the answer is not HTTP")

    @staticmethod
    def _length(head: bytes) -> int:
        length = LENGTH.search(head)
        if not length:
            raise OSError(0, "the answer is not HTTP")
        return int(length[1])

    def _head(self) -> bytes:
        room = memoryview(bytearray(HEAD_LIMIT))
        while b"\r\n\r\n" not in self._rest:
            got = self._paced.into(room)
            if not got or len(self._rest) > HEAD_LIMIT:
                raise ConnectionResetError("the connection was closed early")
            self._rest += room[:got].tobytes()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        return head + b"\r\n"
