"""The agent's TFTP against servers that keep to RFC 1350, and that do not."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from bakery.agent import tftp
from bakery.agent.errors import AgentError

HOST = "127.0.0.1"
Answer = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[tuple[int, list[bytes]]]:
    """A port that gives `answer(packet)` to every packet; what came is in the list."""
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((HOST, 0))

        def serve() -> None:
            while True:
                packet, sender = link.recvfrom(2048)
                if packet == b"stop":
                    return
                came.append(packet)
                for reply in answer(packet):
                    link.sendto(reply, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield link.getsockname()[1], came
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", link.getsockname())
            thread.join()


def data(block: int, content: bytes) -> bytes:
    return struct.pack("!HH", 3, block) + content


def giving(content: bytes) -> Answer:
    def answer(packet: bytes) -> list[bytes]:
        kind, number = struct.unpack("!HH", packet[:4])
        block = 0 if kind == 1 else number
        if block * 512 > len(content):
            return []
        return [data(block + 1, content[block * 512 : block * 512 + 512])]

    return answer


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 5000])
def test_a_file_comes_whole(size):
    content = bytes(n % 251 for n in range(size))
    with server(giving(content)) as (port, came):
        assert tftp.fetch(HOST, "token-1", 16384, port) == content
    assert came[0] == b"\0\1token-1\0octet\0"


def test_a_refusal_is_told_in_the_servers_words():
    with (
        server(lambda _: [b"\0\5\0\1File not found\0"]) as (port, _),
        pytest.raises(AgentError, match="token-1: File not found"),
    ):
        tftp.fetch(HOST, "token-1", 16384, port)


def test_a_file_beyond_the_limit_is_refused():
    with (
        server(giving(bytes(5000))) as (port, came),
        pytest.raises(AgentError, match="longer than 1000 bytes"),
    ):
        tftp.fetch(HOST, "token-1", 1000, port)
    assert len(came) <= 3


def test_a_server_that_never_ends_is_left(monkeypatch):
    def answer(packet: bytes) -> list[bytes]:
        number = struct.unpack("!HH", packet[:4])[1] if packet[1] == 4 else 0
        return [data(number + 1, bytes(512))]

    with server(answer) as (port, came), pytest.raises(AgentError, match="longer than"):
        tftp.fetch(HOST, "token-1", 4096, port)
    assert len(came) <= 10


def test_a_lost_packet_is_asked_for_again(monkeypatch):
    monkeypatch.setattr(tftp, "SILENCE_SECONDS", 0.05)
    seen = []

    def answer(packet: bytes) -> list[bytes]:
        seen.append(packet)
        return giving(b"secret")(packet) if len(seen) > 1 else []

    with server(answer) as (port, _):
        assert tftp.fetch(HOST, "token-1", 100, port) == b"secret"


def test_a_block_that_comes_twice_counts_once():
    content = bytes(range(256)) * 3

    def answer(packet: bytes) -> list[bytes]:
        return giving(content)(packet) * 2

    with server(answer) as (port, _):
        assert tftp.fetch(HOST, "token-1", 16384, port) == content


def test_silence_ends_with_a_reason(monkeypatch):
    monkeypatch.setattr(tftp, "SILENCE_SECONDS", 0.02)
    with (
        server(lambda _: []) as (port, came),
        pytest.raises(AgentError, match="no answer for token-1"),
    ):
        tftp.fetch(HOST, "token-1", 100, port)
    assert len(came) == tftp.RETRIES


def test_rubbish_without_end_does_not_hold_it(monkeypatch):
    monkeypatch.setattr(tftp, "SILENCE_SECONDS", 0.02)
    with (
        server(lambda _: [b"x", data(9, b"wrong"), b"\0\7\0\0"] * 30) as (port, _),
        pytest.raises(AgentError, match="no answer"),
    ):
        tftp.fetch(HOST, "token-1", 100, port)
