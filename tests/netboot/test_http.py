"""The HTTP server against curl, and bytes no client would send."""

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot import http
from bakery.netboot.http import HttpServer
from bakery.netboot.http_message import Response
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http, Trouble

TIMEOUT_SECONDS = 60
BIG_BYTES = 20_000_003
BODY_LIMIT = 2000
NODE = r"/v1/nodes/(?P<node>[a-z0-9-]+)/vendor_passthru/(?P<method>[a-z_]+)"


def echo(request):
    """A route that tells what it was given."""
    if request.body == b"fail":
        raise RuntimeError("a defect")
    told = {
        "parameters": dict(request.parameters),
        "query": request.query,
        "token": request.headers.get("x-auth-token"),
        "body": request.body.decode(),
        "client": request.client,
    }
    return Response(202, json.dumps(told).encode(), headers={"X-Ours": "yes"})


class Served:
    def __init__(self, tree: Tree):
        self.events: list[Event] = []
        self.tree = tree
        routes = {("POST", NODE): echo, ("GET", NODE): echo}
        self.server = HttpServer(
            "127.0.0.1", tree, self.events.append, routes=routes, body_limit=BODY_LIMIT
        )

    def curl(self, path: str, *options: str | Path) -> "subprocess.CompletedProcess[bytes]":
        words = [shutil.which("curl") or "curl", "-sS", "--path-as-is", *options]
        return subprocess.run(
            [*words, self.server.url + path],
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def status(self, path: str, *options: str | Path) -> int:
        done = self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *options)
        return int(done.stdout)

    def raw(self, data: bytes) -> bytes:
        """Whatever comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), TIMEOUT_SECONDS) as sock:
            sock.sendall(data)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
        return answer

    def told(self, count: int) -> list[Http]:
        """The first `count` requests that were told: it happens behind the client's back."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            events = [event for event in self.events if isinstance(event, Http)]
            if len(events) >= count:
                return events
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes((bytes(range(251)) * (BIG_BYTES // 251 + 1))[:BIG_BYTES])
    return path


@pytest.fixture
def served(big: Path) -> Iterator[Served]:
    tree = Tree()
    tree.put("uuid/deploy_ramdisk", big)
    tree.put("boot.ipxe", b"#!ipxe\n")
    tree.put("empty", b"")
    made = Served(tree)
    with made.server:
        yield made


def test_a_large_file_arrives_whole(served, big):
    assert served.curl("/uuid/deploy_ramdisk").stdout == big.read_bytes()
    (event,) = served.told(1)
    assert (event.method, event.path, event.status) == ("GET", "/uuid/deploy_ramdisk", 200)
    assert (event.sent_bytes, event.reason) == (BIG_BYTES, "")


def test_several_clients_at_once_get_whole_files(served, big):
    with ThreadPoolExecutor(8) as pool:
        got = pool.map(lambda _: served.curl("/uuid/deploy_ramdisk").stdout, range(8))
        assert all(content == big.read_bytes() for content in got)


def test_one_connection_serves_one_request_after_another(served):
    done = served.curl("/boot.ipxe", served.server.url + "/empty", "-w", "%{num_connects} ")
    assert done.stdout.endswith(b"0 ")
    assert [event.status for event in served.told(2)] == [200, 200]


def test_head_tells_the_size_and_sends_nothing(served):
    answer = served.curl("/uuid/deploy_ramdisk", "-I").stdout.decode()
    assert f"Content-Length: {BIG_BYTES}\r\n" in answer
    assert "Accept-Ranges: bytes" in answer
    assert served.told(1)[0].sent_bytes == 0


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-9", 0, 10), ("5-", 5, None), ("-7", BIG_BYTES - 7, None), ("10-999999999", 10, None)],
)
def test_a_range_of_bytes_is_sent_alone(served, big, wanted, start, end):
    done = served.curl("/uuid/deploy_ramdisk", "-r", wanted)
    assert done.stdout == big.read_bytes()[start:end]
    assert served.told(1)[0].status == 206


def test_a_range_beyond_the_end_is_refused_with_the_size(served):
    answer = served.curl("/uuid/deploy_ramdisk", "-i", "-r", f"{BIG_BYTES}-").stdout
    assert b" 416 " in answer
    assert f"Content-Range: bytes */{BIG_BYTES}".encode() in answer


def test_a_broken_transfer_goes_on_only_over_the_same_bytes(served, big, tmp_path):
    tag = (
        served.curl("/uuid/deploy_ramdisk", "-I").stdout.decode().split('ETag: "')[1].split('"')[0]
    )
    same = served.status("/uuid/deploy_ramdisk", "-r", "9-", "-H", f'If-Range: "{tag}"')
    (tmp_path / "new").write_bytes(b"other")
    (tmp_path / "new").replace(big)
    other = served.status("/uuid/deploy_ramdisk", "-r", "1-", "-H", f'If-Range: "{tag}"')
    assert (same, other) == (206, 200)


def test_what_the_client_has_is_not_sent_again(served):
    tag = served.curl("/boot.ipxe", "-I").stdout.decode().split('ETag: "')[1].split('"')[0]
    assert served.status("/boot.ipxe", "-H", f'If-None-Match: "{tag}"') == 304
    assert served.status("/boot.ipxe", "-H", 'If-None-Match: "other"') == 200


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/uuid", "/uuid/", "/"],
)
def test_a_path_that_is_not_listed_is_not_there(served, path):
    assert served.status(path) == 404
    assert served.told(1)[0].reason == "there is no such file"


def test_files_cannot_be_written(served, tmp_path):
    (tmp_path / "new").write_text("x")
    assert served.status("/boot.ipxe", "-T", tmp_path / "new") == 405
    assert served.status("/boot.ipxe", "-X", "DELETE") == 405
    assert served.status("/boot.ipxe", "-d", "x") == 405


def test_a_file_that_cannot_be_read_is_said(served, tmp_path):
    served.tree.put("gone", tmp_path / "gone")
    assert served.status("/gone") == 500
    assert "No such file" in served.told(1)[0].reason


def test_a_route_gets_parameters_headers_and_body(served):
    path = "/v1/nodes/1be26c0b/vendor_passthru/pass_deploy_info?a=b"
    done = served.curl(path, "-i", "-H", "X-Auth-Token: secret", "-d", '{"key": "k"}')
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b" 202 " in head and b"X-Ours: yes" in head
    assert json.loads(body) == {
        "parameters": {"node": "1be26c0b", "method": "pass_deploy_info"},
        "query": "a=b",
        "token": "secret",
        "body": '{"key": "k"}',
        "client": "127.0.0.1",
    }


def test_a_route_has_its_methods_alone(served):
    answer = served.curl("/v1/nodes/a/vendor_passthru/x", "-i", "-X", "DELETE").stdout
    assert b" 405 " in answer and b"Allow: POST, GET" in answer


def test_a_defect_in_a_route_is_told_and_the_next_request_is_served(served):
    path = "/v1/nodes/a/vendor_passthru/x"
    assert served.status(path, "-d", "fail") == 500
    assert served.status(path, "-d", "fine") == 202
    assert [event for event in served.events if isinstance(event, Trouble)] == [
        Trouble("HTTP", f"POST {path}: RuntimeError: a defect")
    ]


POST = b"POST /v1/nodes/a/vendor_passthru/x HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /%ff HTTP/1.1\r\n\r\n", 400),
        (b"GET /a%0ab HTTP/1.1\r\n\r\n", 400),
        (b"GET nothing HTTP/1.1\r\n\r\n", 400),
        (b"BREW /boot.ipxe HTTP/1.1\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (POST + b"\r\n", 411),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (POST + b"Content-Length: -1\r\n\r\n", 400),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (POST + b"Content-Length: 999999999999\r\n\r\n", 413),
        (POST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413),
    ],
)
def test_a_request_that_is_none_is_refused_with_a_status(served, data, status):
    assert f" {status} ".encode() in served.raw(data).split(b"\r\n")[0]
    assert served.told(1)[0].status == status
    assert served.told(1)[0].reason
    assert served.status("/boot.ipxe") == 200


def test_a_body_that_ends_early_is_refused(served):
    with socket.create_connection(("127.0.0.1", served.server.port), TIMEOUT_SECONDS) as sock:
        sock.sendall(POST + b"Content-Length: 10\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        assert b" 400 " in sock.recv(65536)


def test_a_large_body_is_refused_before_it_is_sent(served, tmp_path):
    (tmp_path / "body").write_bytes(bytes(BODY_LIMIT + 1))
    path = "/v1/nodes/a/vendor_passthru/x"
    options = ("-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path / 'body'}")
    assert served.status(path, *options) == 413


def test_a_body_that_is_sent_although_it_is_refused_does_not_hide_the_answer(served, tmp_path):
    (tmp_path / "body").write_bytes(bytes(500_000))
    path = "/v1/nodes/a/vendor_passthru/x"
    options = ("-H", "Expect:", "--data-binary", f"@{tmp_path / 'body'}")
    assert [served.status(path, *options) for _ in range(10)] == [413] * 10


def test_a_request_that_trickles_in_is_given_up():
    """However few bytes come, however often: the whole request has a deadline."""
    server = HttpServer("127.0.0.1", Tree(), lambda _event: None, request_seconds=0.3)
    with server, socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        sock.settimeout(0.05)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                sock.sendall(b"A")
                if sock.recv(1000) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server waits for ever")


def test_connections_are_bounded_and_the_next_is_served(served):
    place = ("127.0.0.1", served.server.port)
    idle = [
        socket.create_connection(place, source_address=(f"127.0.0.{10 + number % 8}", 0))
        for number in range(http.CONNECTIONS)
    ]
    assert served.raw(b"") == b""
    assert served.told(1)[0].reason == "too many connections"
    for sock in idle:
        sock.close()
    assert served.curl(
        "/boot.ipxe", "--retry", "20", "--retry-all-errors", "--retry-delay", "1"
    ).stdout


def test_a_client_that_takes_all_it_can_leaves_the_others_theirs(served):
    place = ("127.0.0.1", served.server.port)
    with contextlib.ExitStack() as held:
        for _ in range(http.CONNECTIONS):
            link = socket.create_connection(place, source_address=("127.0.0.9", 0))
            held.enter_context(link)
        assert served.status("/boot.ipxe") == 200


def test_places_are_kept_for_clients_that_are_known(big):
    tree = Tree()
    tree.put("small", b"hello")
    server = HttpServer(
        *("127.0.0.1", tree, lambda _event: None),
        connections=4,
        reserved=2,
        known=lambda address: address == "127.0.0.7",
    )
    with server, contextlib.ExitStack() as held:
        place = ("127.0.0.1", server.port)
        for number in range(10, 20):
            held.enter_context(
                socket.create_connection(place, source_address=(f"127.0.0.{number}", 0))
            )
        node = held.enter_context(
            socket.create_connection(place, TIMEOUT_SECONDS, source_address=("127.0.0.7", 0))
        )
        node.sendall(b"GET /small HTTP/1.1\r\n\r\n")
        assert node.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_takes_a_file_too_slowly_is_given_up(tmp_path):
    """However much came quickly before."""
    events: list[Event] = []
    tree, path = Tree(), tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    tree.put("huge", path)
    server = HttpServer("127.0.0.1", tree, events.append, request_seconds=0.5)
    with server, socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as sock:
        sock.sendall(b"GET /huge HTTP/1.1\r\n\r\n")
        got = 0
        while got < 64 << 20:
            got += len(sock.recv(1 << 20))
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not events:
            assert time.monotonic() < deadline
            sock.recv(1)
            time.sleep(0.02)
    assert isinstance(events[0], Http)
    assert "too slowly" in events[0].reason


def test_how_many_connections_there_may_be_is_the_owners_choice():
    with HttpServer("127.0.0.1", Tree(), lambda _event: None, connections=2) as server:
        place = ("127.0.0.1", server.port)
        with contextlib.ExitStack() as held:
            held.enter_context(socket.create_connection(place, TIMEOUT_SECONDS))
            held.enter_context(socket.create_connection(place, TIMEOUT_SECONDS))
            third = held.enter_context(socket.create_connection(place, TIMEOUT_SECONDS))
            assert third.recv(1) == b""


def test_stopping_breaks_a_transfer_off(big):
    tree = Tree()
    tree.put("big", big)
    served = Served(tree)
    served.server.start()
    with socket.create_connection(("127.0.0.1", served.server.port), TIMEOUT_SECONDS) as sock:
        sock.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        sock.recv(10)
        served.server.stop()
        got = 10
        while piece := sock.recv(1 << 20):
            got += len(piece)
        assert got < BIG_BYTES
    assert served.told(1)[0].reason


def test_a_port_that_is_taken_is_said_with_the_way_out(served):
    with pytest.raises(BakeryError, match="HTTP cannot be served on port") as caught:
        HttpServer("127.0.0.1", Tree(), print, port=served.server.port).start()
    assert "ss -lnp" in caught.value.hint


def test_a_file_of_another_is_refused_and_told(served):
    served.tree.put("mine", b"x", lambda asker: "" if asker.secret == "s" else "not yours")
    assert served.status("/mine") == 403
    assert served.status("/mine", "-H", "X-Auth-Token: s") == 200
    refused, given = served.told(2)
    assert (refused.client, refused.status, refused.reason) == ("127.0.0.1", 403, "not yours")
    assert given.status == 200


def test_what_a_query_holds_is_not_told(served):
    assert served.status("/nothing?key=secret") == 404
    assert served.told(1)[0].path == "/nothing"


def test_a_file_counts_as_taken_when_the_client_has_it_all(served):
    taken: list[bool] = []
    served.tree.put("once", bytes(1000), None, lambda: taken.append(True))
    assert served.status("/once", "-I") == 200
    assert served.status("/once", "-r", "0-9") == 206
    assert served.status("/once") == 200
    served.told(3)
    assert taken == [True]
