"""The bounds of one HTTP connection: time, rate and size; and which route answers."""

import contextlib
import os
import socket
from types import SimpleNamespace

import pytest

from bakery.netboot import http_connection
from bakery.netboot.http import HttpServer
from bakery.netboot.http_connection import LEAST_BYTES_PER_SECOND, Site, _Pace, _Timed
from bakery.netboot.http_message import Refused, Request, Response
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http
from tests.netboot.test_http_ends import served

SHRINKING_BYTES = 256 << 20
"""More than the sockets' buffers hold."""


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(http_connection, "time", clock)
    return clock


def test_a_client_that_keeps_the_least_rate_is_served_on(clock):
    pace, sent = _Pace(10.0), 0
    for _ in range(5):
        clock.now, sent = clock.now + 10, sent + 10 * LEAST_BYTES_PER_SECOND
        pace.check(sent)


def test_a_client_that_is_too_slow_is_given_up_when_its_time_is_over(clock):
    pace = _Pace(10.0)
    clock.now += 9.9
    pace.check(0)
    clock.now = 1010.0
    with pytest.raises(TimeoutError, match="too slowly"):
        pace.check(10 * LEAST_BYTES_PER_SECOND - 1)


def test_what_was_quick_before_is_no_credit(clock):
    pace, enough = _Pace(10.0), 10 * LEAST_BYTES_PER_SECOND
    clock.now += 9.9
    pace.check(0)
    clock.now += 0.2
    pace.check(100 * enough)
    clock.now += 9.9
    pace.check(100 * enough)
    clock.now += 0.2
    with pytest.raises(TimeoutError, match="too slowly"):
        pace.check(101 * enough - 1)


def test_a_request_has_its_time_however_few_bytes_come_at_a_time(clock):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timed = _Timed(ours)
        assert timed.readable()
        theirs.sendall(b"abcd")
        timed.allow(5.0)
        buffer = bytearray(2)
        assert (timed.readinto(buffer), bytes(buffer)) == (2, b"ab")
        assert ours.gettimeout() == 5.0
        clock.now += 4
        assert timed.readinto(buffer) == 2
        assert ours.gettimeout() == 1.0
        clock.now += 1
        with pytest.raises(TimeoutError, match="the request took too long"):
            timed.readinto(buffer)


def answer(_request: Request) -> Response:
    return Response(200)


def other(_request: Request) -> Response:
    return Response(201)


@pytest.fixture
def site():
    routes = {("GET", "/(?P<a>x)?b"): answer, ("PUT", "/b"): other, ("GET", "/b+"): other}
    return Site(Tree(), routes, lambda _event: None, body_limit=10, request_seconds=5)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/xb", (answer, {"a": "x"})),
        ("GET", "/b", (answer, {})),
        ("PUT", "/b", (other, {})),
        ("GET", "/bb", (other, {})),
        ("GET", "/bc", None),
        ("GET", "/c/b", None),
    ],
)
def test_the_first_route_with_method_and_whole_path_answers(site, method, path, found):
    assert site.route(method, path) == found


def test_a_path_that_is_there_for_other_methods_is_refused_with_them(site):
    with pytest.raises(Refused) as refused:
        site.route("DELETE", "/b")
    assert (refused.value.status, refused.value.headers) == (405, {"Allow": "GET, PUT, GET"})


def test_small_answers_are_not_held_back():
    with (
        served([]) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as link,
    ):
        link.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert link.recv(65536)
        assert server._listener is not None
        (own,) = server._listener._open
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def raw(server: HttpServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as link:
        link.sendall(request)
        link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: link.recv(65536), b""))
    return b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"202"),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", b"400"),
        (b"Content-Length: +3\r\n\r\nabc", b"400"),
        (b"Content-Length: 4\r\n\r\nabc", b"400"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"\r\n", b"411"),
    ],
)
def test_the_length_of_a_body_is_said_once_and_kept(head, status):
    with served([], routes={("POST", "/p"): lambda _request: Response(202)}) as server:
        given = raw(server, b"POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + head)
    assert given.startswith(b"HTTP/1.1 " + status)


def posted(port: int, body: bytes) -> bytes:
    """The answer to its end, by a client that goes on holding the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(f"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        link.sendall(body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += link.recv(65536)
        if b"Connection: close" in answer:
            while piece := link.recv(65536):
                answer += piece
    return answer


def test_a_body_may_be_as_long_as_its_bound_and_a_refused_client_sees_the_end(monkeypatch):
    monkeypatch.setattr("bakery.netboot.http_connection.LINGER_SECONDS", 60.0)
    lengths: list[int] = []

    def handler(request: Request) -> Response:
        lengths.append(len(request.body))
        return Response(202)

    with served([], routes={("POST", "/p"): handler}, body_limit=100) as server:
        assert posted(server.port, bytes(100)).startswith(b"HTTP/1.1 202")
        assert posted(server.port, bytes(101)).startswith(b"HTTP/1.1 413")
    assert lengths == [100]


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection_and_is_told(tmp_path):
    events: list[Event] = []
    tree, path = Tree(), tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(SHRINKING_BYTES)
    tree.put("file", path)
    with HttpServer("127.0.0.1", tree, events.append) as server, socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(10.0)
        link.connect(("127.0.0.1", server.port))
        link.sendall(b"GET /file HTTP/1.1\r\n\r\n")
        got = len(link.recv(1))
        os.truncate(path, 0)
        with contextlib.suppress(ConnectionResetError):
            while piece := link.recv(1 << 20):
                got += len(piece)
    (event,) = events
    assert got < SHRINKING_BYTES
    assert isinstance(event, Http)
    assert event.reason == "the file shrank while it was being sent"
