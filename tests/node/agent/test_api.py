"""The agent's calls against a real HTTP server, and against servers that are none."""

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bakery.node.agent import api
from bakery.node.agent.errors import AgentError
from bakery.node.agent.not_now import NotNow

NODE = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
BODY = {"address": "10.0.0.5", "key": "K", "iqn": "iqn-1", "error": 'no "disk" ä'}


class Server:
    """Answers each POST with the next of `statuses`, the last for good; keeps what came."""

    def __init__(self, *statuses: int) -> None:
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        outer, left = self, list(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.came.append((self.path, dict(self.headers), content))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def api(self) -> api.Api:
        return api.Api("127.0.0.1", self.server.server_address[1], "")


@contextlib.contextmanager
def serving(*statuses: int) -> Iterator[Server]:
    server = Server(*statuses)
    thread = threading.Thread(target=server.server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        thread.join()
        server.server.server_close()


@contextlib.contextmanager
def saying(answer: bytes) -> Iterator[api.Api]:
    """A server that sends `answer` to whoever connects, once, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(65536)
                link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield api.Api("127.0.0.1", listener.getsockname()[1], "")
        thread.join()


def test_a_call_is_as_ironic_takes_it():
    with serving(202) as server:
        api.post(server.api._replace(path="/baremetal"), NODE, "pass_deploy_info", BODY, "TOKEN")
    ((path, headers, content),) = server.came
    assert path == f"/baremetal/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    assert headers["X-Auth-Token"] == "TOKEN"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(content) == BODY


def test_without_a_token_no_header_is_sent():
    with serving(202) as server:
        api.post(server.api, NODE, "pass_deploy_info", BODY, "")
    assert "X-Auth-Token" not in server.came[0][1]


@pytest.mark.parametrize("status", [400, 401, 404, 409])
def test_a_refusal_is_final_and_named(status):
    with (
        serving(status) as server,
        pytest.raises(AgentError, match=f"refused pass_deploy_info: HTTP {status}"),
    ):
        api.post(server.api, NODE, "pass_deploy_info", BODY, "T")
    assert len(server.came) == 1


def test_a_server_in_trouble_is_asked_again(capsys):
    with serving(503, 500, 408, 425, 429, 202) as server:
        api.post(server.api, NODE, "pass_deploy_info", BODY, "T", pause=0.01)
    assert len(server.came) == 6
    assert "HTTP 503; again in" in capsys.readouterr().out


@pytest.mark.parametrize(("patience", "slept"), [(30, [20]), (10, [])])
def test_a_server_is_left_alone_for_as_long_as_it_asks(monkeypatch, patience, slept):
    pauses: list[float] = []
    answers = [429, 202]

    def ask(*_words):
        if (status := answers.pop(0)) == 429:
            raise NotNow(status, 20)
        return status

    monkeypatch.setattr(api, "_ask", ask)
    monkeypatch.setattr("bakery.node.agent.api.time.sleep", pauses.append)
    with contextlib.nullcontext() if slept else pytest.raises(AgentError, match="HTTP 429"):
        api.post(api.Api("a", 80, ""), NODE, "done", BODY, "", patience)
    assert pauses == slept


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 So\r\nRetry-After: 7\r\n\r\n",
        b"HTTP/1.1 429 So\r\nRetry-After: 7\r\n\r\nbody",
    ],
)
def test_how_long_it_asks_for_is_read(answer):
    with saying(answer) as where, pytest.raises(AgentError, match="to be asked again in 7 s"):
        api.post(where, NODE, "pass_deploy_info", BODY, "", 5)


def test_an_answer_that_ends_in_its_head_has_a_status():
    with saying(b"HTTP/1.1 202 Accepted\r\n") as where:
        api.post(where, NODE, "pass_deploy_info", BODY, "", 0)


def test_another_address_of_the_name_is_tried(monkeypatch):
    """The first one answers nobody."""
    with serving(202) as server:
        port = server.api.port
        found = [(socket.AF_INET, 1, 6, "", (a, port)) for a in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_more: found)
        api.post(api.Api("a", port, ""), NODE, "pass_deploy_info", BODY, "T", 0)
    assert len(server.came) == 1


def test_nobody_there_ends_with_a_reason_when_patience_does():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AgentError, match="did not accept pass_deploy_info: Connection refused"):
        api.post(
            api.Api("127.0.0.1", port, ""), NODE, "pass_deploy_info", BODY, "", 0.2, pause=0.01
        )


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/9 202\r\n\r\n"]
)
def test_a_server_of_another_kind_is_told(answer):
    with saying(answer) as where, pytest.raises(AgentError, match="did not accept pass_deploy"):
        api.post(where, NODE, "pass_deploy_info", BODY, "", 0)


def test_an_answer_without_end_is_left():
    with (
        saying(b"x" * (api.ANSWER_LIMIT * 2)) as where,
        pytest.raises(AgentError, match="did not accept pass_deploy_info"),
    ):
        api.post(where, NODE, "pass_deploy_info", BODY, "", 0)


def test_an_interim_answer_is_passed_over():
    with saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n") as where:
        api.post(where, NODE, "pass_deploy_info", BODY, "", 0)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://192.168.77.1:6385", ("192.168.77.1", 6385, "")),
        ("http://api.example.org", ("api.example.org", 80, "")),
        ("http://10.0.0.1/baremetal", ("10.0.0.1", 80, "/baremetal")),
        ("http://[fd00::1]:6385/", ("fd00::1", 6385, "")),
    ],
)
def test_an_address_is_taken_apart(url, parts):
    assert api.parse(url) == parts


@pytest.mark.parametrize(
    "url", ["", "https://10.0.0.1:6385", "10.0.0.1:6385", "http://a b/", "ftp://x", "http://"]
)
def test_an_address_the_agent_cannot_speak_to_is_refused(url):
    with pytest.raises(AgentError):
        api.parse(url)


def test_a_node_that_was_told_of_no_api_says_so():
    with pytest.raises(AgentError, match="the kernel argument ironic_api_url is missing"):
        api.parse("")
    with pytest.raises(AgentError, match="is not of the form http://HOST"):
        api.parse("http:/x")


def test_a_server_that_says_nothing_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(api, "ANSWER_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(AgentError, match="did not accept pass_deploy_info: timed out"),
    ):
        where = api.Api("127.0.0.1", listener.getsockname()[1], "")
        api.post(where, NODE, "pass_deploy_info", BODY, "", 0)


def test_it_is_asked_ever_more_seldom_and_not_without_end(monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    def busy(*_words):
        raise NotNow(503, 0)

    monkeypatch.setattr(api, "_ask", busy)
    monkeypatch.setattr("bakery.node.agent.api.time.monotonic", lambda: now[0])
    monkeypatch.setattr("bakery.node.agent.api.time.sleep", sleep)
    with pytest.raises(AgentError, match="the API at a:80 did not accept done: HTTP 503"):
        api.post(api.Api("a", 80, ""), NODE, "done", BODY, "", 46)
    assert pauses == [1, 2, 4, 8, 15, 15]


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (299, True), (300, False), (199, False)]
)
def test_success_is_a_status_of_its_own_hundred(monkeypatch, status, taken):
    monkeypatch.setattr(api, "_ask", lambda *_: status)
    call = lambda: api.post(api.Api("a", 80, ""), NODE, "done", BODY, "", 0)  # noqa: E731
    if taken:
        call()
    else:
        with pytest.raises(AgentError, match=f"refused done: HTTP {status}"):
            call()


def test_a_request_names_the_server_as_it_was_named():
    request = api._request(api.Api("fd00::1", 6385, "/p"), "n", "m", b"{}", "").decode()
    head, _, body = request.partition("\r\n\r\n")
    assert head.split("\r\n")[:2] == [
        "POST /p/v1/nodes/n/vendor_passthru/m HTTP/1.1",
        "Host: [fd00::1]:6385",
    ]
    assert ("Content-Length: 2" in head, body) == (True, "{}")


def test_interim_answers_without_end_are_left(monkeypatch):
    monkeypatch.setattr(api, "ANSWER_SECONDS", 0.3)
    ours, theirs = socket.socketpair()
    began = time.monotonic()

    def go_on() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with ours, theirs:
        threading.Thread(target=go_on, daemon=True).start()
        with pytest.raises(OSError, match="not HTTP"):
            api._status(ours)
    assert time.monotonic() - began < 10
