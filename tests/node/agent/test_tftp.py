"""The agent's TFTP against servers that keep to RFC 1350, and that do not."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bakery.node.agent import tftp
from bakery.node.agent.errors import AgentError

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


def test_a_server_that_never_ends_is_left():
    def answer(packet: bytes) -> list[bytes]:
        number = struct.unpack("!HH", packet[:4])[1] if packet[1] == 4 else 0
        return [data(number + 1, bytes(512))]

    with server(answer) as (port, came), pytest.raises(AgentError, match="longer than"):
        tftp.fetch(HOST, "token-1", 4096, port)
    assert len(came) <= 10


def test_a_lost_packet_is_asked_for_again():
    seen = []

    def answer(packet: bytes) -> list[bytes]:
        seen.append(packet)
        return giving(b"secret")(packet) if len(seen) > 1 else []

    with server(answer) as (port, _):
        assert tftp.fetch(HOST, "token-1", 100, port, 0.05) == b"secret"


def test_a_block_that_comes_twice_counts_once():
    content = bytes(range(256)) * 3

    def answer(packet: bytes) -> list[bytes]:
        return giving(content)(packet) * 2

    with server(answer) as (port, _):
        assert tftp.fetch(HOST, "token-1", 16384, port) == content


def test_silence_ends_with_a_reason():
    with (
        server(lambda _: []) as (port, came),
        pytest.raises(AgentError, match="no answer for token-1"),
    ):
        tftp.fetch(HOST, "token-1", 100, port, 0.02)
    assert len(came) == tftp.RETRIES


def test_rubbish_without_end_does_not_hold_it():
    with (
        server(lambda _: [b"x", data(9, b"wrong"), b"\0\7\0\0"] * 30) as (port, _),
        pytest.raises(AgentError, match="no answer"),
    ):
        tftp.fetch(HOST, "token-1", 100, port, 0.02)


@pytest.mark.parametrize(("size", "limit"), [(0, 0), (511, 511), (512, 512), (1024, 1024)])
def test_a_file_may_be_as_long_as_the_limit(size, limit):
    with server(giving(bytes(size))) as (port, came):
        assert tftp.fetch(HOST, "a", limit, port) == bytes(size)
        # The last block is acknowledged as well.
        last = struct.pack("!HH", 4, size // 512 + 1)
        deadline = time.monotonic() + 30
        while last not in came:
            assert time.monotonic() < deadline
    with (
        server(giving(bytes(size + 1))) as (port, _),
        pytest.raises(AgentError, match=f"longer than {limit} bytes"),
    ):
        tftp.fetch(HOST, "a", limit, port)


def test_a_server_that_says_nothing_is_asked_five_times():
    with server(lambda _: []) as (port, came):
        with pytest.raises(AgentError, match=f"TFTP from {HOST}: no answer for a"):
            tftp.fetch(HOST, "a", 100, port, silence=0.05)
        assert came == [b"\0\1a\0octet\0"] * 5


@pytest.mark.parametrize(
    "stray", [b"", b"\0\3\0", data(2, b"x"), struct.pack("!HH", 4, 1), struct.pack("!HH", 3, 0)]
)
def test_packets_that_are_not_the_next_block_are_passed_over(stray):
    with server(lambda _: [stray, data(1, b"content")]) as (port, _):
        assert tftp.fetch(HOST, "a", 100, port, silence=30) == b"content"


def test_packets_without_end_are_not():
    with (
        server(lambda _: [data(2, b"x")] * 64) as (port, came),
        pytest.raises(AgentError, match="no answer for a"),
    ):
        tftp.fetch(HOST, "a", 100, port, silence=30)
    assert len(came) >= 1


def test_another_machines_packets_are_not_the_servers():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((HOST, 0))
        link.settimeout(0.1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(data(1, b"forged"), link.getsockname())
            with pytest.raises(TimeoutError):
                tftp._receive(link, (HOST, 69), 1, "a")


@pytest.mark.parametrize(("block", "taken"), [(1, True), (2, False)])
def test_the_first_answer_fixes_the_servers_port(block, taken):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        link.bind((HOST, 0))
        link.settimeout(0.1)
        other.bind((HOST, 0))
        other.sendto(data(block, b"x"), link.getsockname())
        if taken:
            answer = tftp._receive(link, (HOST, 69), block, "a")
            assert answer == (b"x", other.getsockname())
        else:
            with pytest.raises(TimeoutError):
                tftp._receive(link, (HOST, 69), block, "a")


@pytest.mark.parametrize(
    ("packet", "words"), [(b"\0\5\0\2", "a: error 2"), (b"\0\5\0\2no\0", "a: no$")]
)
def test_an_error_is_told_by_its_words_or_its_number(packet, words):
    with server(lambda _: [packet]) as (port, _), pytest.raises(AgentError, match=words):
        tftp.fetch(HOST, "a", 100, port)
