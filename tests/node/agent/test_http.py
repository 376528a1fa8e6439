"""What the agent asks an HTTP server for, and what it takes for an answer: a server by script."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bakery.node.agent import http
from bakery.node.agent.errors import AgentError
from bakery.node.agent.http import HEAD_LIMIT, Connection, Place, Refused, fetch, parse


class Server:
    """Gives each request the next answer, on a connection each or one for all; keeps requests."""

    def __init__(self, answers: list[bytes], *, stays: bool) -> None:
        self.asked: list[str] = []
        self._answers, self._stays = answers, stays
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = Place("127.0.0.1", self._listener.getsockname()[1], "/base.zst")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while self._answers:
                link, _ = self._listener.accept()
                with link:
                    while self._answers and (asked := link.recv(65536)):
                        self.asked.append(asked.decode())
                        link.sendall(self._answers.pop(0))
                        if not self._stays:
                            break

    def end(self) -> None:
        self._listener.close()


@pytest.fixture
def serving() -> Iterator[Callable[..., Server]]:
    servers = []

    def begin(*answers: bytes, stays: bool = False) -> Server:
        servers.append(Server(list(answers), stays=stays))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()


def answer(status: int, content: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def part(first: int, content: bytes) -> bytes:
    return answer(206, content, f"Content-Range: bytes {first}-{first + len(content) - 1}/100")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://10.0.0.1/a", ("10.0.0.1", 80, "/a")),
        ("http://host.example:8080/a/b?c", ("host.example", 8080, "/a/b?c")),
        ("http://[fd00::1]:81/", ("fd00::1", 81, "/")),
    ],
)
def test_a_url_has_a_host_a_port_and_a_path(url, place):
    assert parse(url) == place


@pytest.mark.parametrize(
    "url", ["", "https://a/b", "http://a", "http://a:b/c", "http://a/ b", "http://a/b\r\nc"]
)
def test_what_cannot_be_fetched_from_is_refused(url):
    with pytest.raises(AgentError, match="is not of the form http://HOST"):
        parse(url)


@pytest.mark.parametrize(("token", "sent"), [("T", True), ("", False)])
def test_a_file_is_fetched_whole_and_a_token_sent_along(serving, token, sent):
    server = serving(answer(200, b"content"))
    assert fetch(server.place, 7, token, 0) == b"content"
    head = f"GET /base.zst HTTP/1.1\r\nHost: 127.0.0.1:{server.place.port}\r\n"
    head += "Accept-Encoding: identity\r\nCache-Control: no-transform\r\n"
    assert server.asked == [head + ("X-Auth-Token: T\r\n" if sent else "") + "\r\n"]


def test_a_file_that_is_too_long_is_not_taken(serving):
    server = serving(answer(200, b"content"))
    with pytest.raises(Refused, match=r"/base\.zst has 7 bytes, but at most 6 are allowed"):
        fetch(server.place, 6, "", 10)


@pytest.mark.parametrize("status", [204, 206, 301, 404, 499])
def test_another_status_is_final(serving, status):
    server = serving(answer(status, b""))
    with pytest.raises(Refused, match=f"/base.zst: HTTP {status}"):
        fetch(server.place, 10, "", 10)


@pytest.mark.parametrize(
    "bad",
    [
        answer(500, b""),
        answer(503, b""),
        answer(408, b""),
        answer(425, b""),
        answer(429, b"", "Retry-After: 0"),
        b"HTTP/1.1 429 So\r\n\r\n",
        b"HTTP/1.1 429 So\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (http.INTERIM_LIMIT + 1),
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"x" * (HEAD_LIMIT * 2 + 1),
    ],
)
def test_a_server_in_trouble_is_asked_again(serving, monkeypatch, bad):
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    server = serving(bad, answer(200, b"content"))
    assert fetch(server.place, 10, "", 30) == b"content"
    assert len(server.asked) == 2


def test_it_is_asked_ever_more_seldom_and_not_without_end(monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AgentError, match=rf"127.0.0.1:{port} did not answer: Connection refused"):
        fetch(Place("127.0.0.1", port, "/"), 10, "", 46)
    assert pauses == [1, 2, 4, 8, 15, 15]


def test_ranges_come_after_one_another_on_one_connection(serving):
    server = serving(part(10, b"0123456789"), part(90, b"abc"), stays=True)
    with Connection(server.place) as connection:
        connection.ask(10, 10)
        assert (connection.take(4), connection.take(6)) == (b"0123", b"456789")
        connection.ask(90, 3)
        assert connection.take(3) == b"abc"
    ranges = [asked.split("Range: ")[1].split("\r\n")[0] for asked in server.asked]
    assert ranges == ["bytes=10-19", "bytes=90-92"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            answer(206, b"12", "Content-Range: bytes 10-11/12"),
            "/base.zst ends before byte 13",
        ),
        (part(10, b"12"), "10-11, 2 bytes, come where bytes 10-12 were asked for"),
        (part(11, b"123"), "11-13, 3 bytes, come where bytes 10-12 were asked for"),
        (part(8, b"12345678"), "8-15, 8 bytes, come where bytes 10-12 were asked for"),
        (
            answer(206, b"1", "Content-Range: bytes 10-12/*"),
            "10-12, 1 bytes, come where bytes 10-12 were asked for",
        ),
        (answer(200, b"123"), "the whole file comes where bytes 10-12 were asked for"),
        (answer(206, b"123"), "another part comes where bytes 10-12 were asked for"),
        (
            answer(206, b"123", "Content-Range: bytes 10-12/99", "Content-Encoding: gzip"),
            r"/base.zst: the server, or a proxy, has changed it \(content-encoding: gzip\)",
        ),
        (
            b"HTTP/1.1 206\r\nContent-Range: bytes 10-12/99\r\nTransfer-Encoding: chunked\r\n\r\n",
            r"has changed it \(transfer-encoding: chunked\)",
        ),
        (answer(416, b""), "/base.zst: HTTP 416"),
    ],
)
def test_another_range_than_was_asked_for_is_refused(serving, given, message):
    with Connection(serving(given).place) as connection, pytest.raises(Refused, match=message):
        connection.ask(10, 3)


@pytest.mark.parametrize(
    "given",
    [
        part(10, b"123"),
        answer(206, b"123", "Content-Range: bytes 10-12/*", "Content-Encoding: identity"),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + part(10, b"123"),
    ],
)
def test_the_range_that_was_asked_for_is_taken(serving, given):
    with Connection(serving(given).place) as connection:
        connection.ask(10, 3)
        assert connection.take(3) == b"123"


def test_a_whole_file_is_taken_where_all_of_it_was_asked_for(serving):
    with Connection(serving(answer(200, b"123")).place) as connection:
        connection.ask(0, 3)
        assert connection.take(3) == b"123"


def test_a_server_that_asks_for_it_is_left_alone_for_as_long(serving, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server = serving(answer(429, b"", "Retry-After: 7"), answer(503, b""), answer(200, b"content"))
    assert fetch(server.place, 7, "", 30) == b"content"
    assert slept == [7, 2]
    with pytest.raises(AgentError, match="did not answer: HTTP 429, to be asked again in 31 s"):
        fetch(serving(answer(429, b"", "Retry-After: 31")).place, 7, "", 30)
    assert slept == [7, 2]


def test_a_connection_that_breaks_in_a_range_is_told(serving):
    server = serving(b"HTTP/1.1 206 So\r\ncontent-range: bytes 0-9/10\r\n"
                     b"content-length:  10 \r\n\r\n12345")  # fmt: skip
    with Connection(server.place) as connection:
        connection.ask(0, 10)
        with pytest.raises(ConnectionResetError, match="closed early"):
            connection.take(10)


def test_nobody_there_leaves_no_socket(monkeypatch):
    made = []
    real = socket.socket

    def kept(*words):
        made.append(real(*words))
        return made[-1]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setattr(socket, "socket", kept)
    with pytest.raises(ConnectionRefusedError):
        Connection(Place("127.0.0.1", port, "/"))
    assert [link.fileno() for link in made] == [-1]


def test_a_server_that_says_nothing_is_not_waited_for_without_end(serving):
    with Connection(serving(b"").place) as connection:
        assert connection._link.gettimeout() == http.SILENCE_SECONDS
    assert connection._link.fileno() == -1


class Dripping:
    """A server's end that gives `count` bytes at a time, `seconds` apart, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int, seconds: float) -> None:
        self.now, self._count, self._seconds = 0.0, count, seconds
        self._left, self._due = 0.0, seconds
        monkeypatch.setattr(http, "time", self)

    def monotonic(self) -> float:
        return self.now

    def settimeout(self, seconds: float) -> None:
        self._left = seconds

    def recv_into(self, view: memoryview) -> int:
        waited = min(self._left, self._due)
        self.now, self._due = self.now + waited, self._due - waited
        if self._due > 0:
            raise TimeoutError
        self._due = self._seconds
        return min(len(view), self._count)


def taken(end: Dripping, count: int) -> bytes:
    """So many bytes, as a connection takes them whose answer has begun."""
    connection = Connection.__new__(Connection)
    connection._rest, connection._paced = b"", http._Paced(end)  # type: ignore[arg-type]
    return connection.take(count)


@pytest.mark.parametrize(("count", "seconds"), [(1, 1.0), (1, 19.9), (16000, 1.0), (1, 30.0)])
def test_a_server_that_gives_too_little_is_left(monkeypatch, count, seconds):
    end = Dripping(monkeypatch, count, seconds)
    with pytest.raises(TimeoutError, match="too slowly"):
        taken(end, 1 << 20)
    assert end.now == pytest.approx(http.SILENCE_SECONDS)


@pytest.mark.parametrize(("count", "seconds"), [(17000, 1.0), (400_000, 15.0), (500_000, 19.0)])
def test_a_server_that_keeps_the_least_rate_is_listened_to(monkeypatch, count, seconds):
    end = Dripping(monkeypatch, count, seconds)
    assert len(taken(end, 10 * count)) == 10 * count
    assert end.now == pytest.approx(10 * seconds)


def test_a_head_that_trickles_in_has_one_such_time_in_all(monkeypatch):
    connection = Connection.__new__(Connection)
    end = Dripping(monkeypatch, 1000, 6.0)
    connection._rest, connection._paced = b"", http._Paced(end)  # type: ignore[arg-type]
    with pytest.raises(TimeoutError, match="too slowly"):
        connection._head()
    assert end.now == pytest.approx(http.SILENCE_SECONDS)
