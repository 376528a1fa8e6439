"""How an HTTP server's port begins and ends, and what becomes of who comes too many."""

import os
import socket
import threading

import pytest

from bakery.netboot.http import HttpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http
from tests.lab.machines import until


def served(told: list[Event], **more) -> HttpServer:
    tree = Tree()
    tree.put("a", b"content")
    return HttpServer("127.0.0.1", tree, told.append, **more)


def asked(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(b"GET /a HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: link.recv(65536), b""))


def test_behind_the_block_nobody_is_served():
    told: list[Event] = []
    before = threading.active_count()
    with served(told) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert asked(server.port).endswith(b"\r\n\r\ncontent")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=30)
    until(lambda: threading.active_count() == before)
    server.stop()


def test_who_comes_too_many_is_sent_away_and_told_once():
    told: list[Event] = []
    with served(told, connections=1) as server:
        place = ("127.0.0.1", server.port)
        with socket.create_connection(place, timeout=30) as first:
            first.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert first.recv(65536)
            for _ in range(2):
                with socket.create_connection(place, timeout=30) as second:
                    assert second.recv(1) == b""
        until(lambda: asked(server.port))
    refused = [event for event in told if isinstance(event, Http) and event.status == 503]
    assert refused == [Http("127.0.0.1", "", "", 503, reason="too many connections")]


def test_answers_are_sent_at_once_and_ports_taken_again():
    with served([]) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as link:
            link.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            assert link.recv(65536)
        port = server.port
    with served([], port=port) as again:
        assert again.port == port


@pytest.mark.skipif(os.geteuid() != 0, reason="binding to an interface needs root")
def test_a_server_hears_its_interface_alone():
    with served([], interface="lo") as server:
        assert asked(server.port).endswith(b"content")
        assert server._listener is not None
        bound = server._listener.socket.getsockopt(socket.SOL_SOCKET, 25, 16)
        assert bound.rstrip(b"\0") == b"lo"
