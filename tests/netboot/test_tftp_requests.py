"""What a TFTP request may be, and clients that ask and say nothing more."""

import contextlib
import io
import socket
import struct

import pytest

from bakery.netboot import tftp
from bakery.netboot.tftp import TftpServer
from bakery.netboot.tree import Opened, Tree
from bakery.netboot.wire_events import Event, TftpFailed, TftpRefused
from tests.lab.machines import until

SECONDS = 30


def request(*words: bytes, operation: int = 1) -> bytes:
    return struct.pack("!H", operation) + b"".join(word + b"\0" for word in words)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((b"a", b"octet"), {}),
        ((b"a", b"OCTET", b"BLKSIZE", b"8"), {"blksize": 8}),
        ((b"a", b"octet", b"blksize", b"1468"), {"blksize": 1468}),
        ((b"a", b"octet", b"blksize", b"1469"), {"blksize": 1468}),
        ((b"a", b"octet", b"blksize", b"9999999999"), {"blksize": 1468}),
        ((b"a", b"octet", b"tsize", b"0", b"timeout", b"x"), {"tsize": 0}),
    ],
)
def test_a_read_request_has_its_known_options(words, options):
    assert tftp.parse_request(request(*words)) == tftp.ReadRequest("a", options)


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (b"\0", 4, "the request is malformed"),
        (request(b"a" * 1024, b"octet"), 4, "the request is malformed"),
        (request(b"a"), 4, "the request is malformed"),
        (request(b"a", b"octet")[:-1], 4, "the request is malformed"),
        (request(b"a", b"octet", operation=6), 4, "the request is malformed"),
        (request(b"a", b"octet", operation=2), 2, "this server is read-only"),
        (request(b"a", b"netascii"), 4, "only mode octet is supported"),
        (request(b"\xff", b"octet"), 1, "there is no such file"),
        (request(b"a", b"octet", b"blksize"), 4, "the options are malformed"),
        (request(b"a", b"octet", b"blksize", b"7"), 4, "the block size is too small"),
        (request(b"a", b"octet", b"blksize", b"-8"), 4, "the option blksize is malformed"),
        (request(b"a", b"octet", b"tsize", b"1" * 11), 4, "the option tsize is malformed"),
    ],
)
def test_another_request_is_refused_with_its_reason(data, code, reason):
    with pytest.raises(tftp.Refusal, match=reason) as refused:
        tftp.parse_request(data)
    assert refused.value.code == code


def test_a_request_may_have_1024_bytes():
    data = request(b"a" * (1024 - 9), b"octet")
    assert len(data) == 1024
    assert tftp.parse_request(data).path == "a" * 1015


def silent_client(server, name: bytes) -> socket.socket:
    """A client that asks, takes the first packet, and says nothing more."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(SECONDS)
    client.sendto(request(name, b"octet"), ("127.0.0.1", server.port))
    client.recv(2000)
    return client


@pytest.mark.parametrize(
    ("bound", "reason", "packets"),
    [
        ({"RESEND_SECONDS": 0.0, "RESENDS": 2}, "the client has stopped answering", 2),
        ({"TRANSFER_LIMIT_SECONDS": 0.0}, "the transfer takes too long", 0),
    ],
)
def test_a_client_that_says_nothing_is_given_up(monkeypatch, bound, reason, packets):
    monkeypatch.setattr("bakery.netboot.loop.TICK_SECONDS", 0.01)
    for name, value in bound.items():
        monkeypatch.setattr(tftp, name, value)
    tree = Tree()
    told: list[Event] = []
    tree.put("a", bytes(2000))
    with TftpServer("127.0.0.1", tree, told.append, port=0) as server:
        with silent_client(server, b"a") as client:
            until(lambda: any(isinstance(event, TftpFailed) for event in told))
            again = []
            client.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                while True:
                    again.append(client.recv(2000))
        assert server._sessions == []
    assert told[-1] == TftpFailed("127.0.0.1", "a", reason)
    assert again == [struct.pack("!HH", 3, 1) + bytes(512)] * packets


def test_a_file_that_has_shrunk_already_is_refused_in_words(monkeypatch):
    tree = Tree()
    told: list[Event] = []
    file = io.BytesIO(b"short")
    monkeypatch.setattr(tree, "open", lambda *_: Opened(file, 10, "tag"))
    with (
        TftpServer("127.0.0.1", tree, told.append, port=0) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(SECONDS)
        client.sendto(request(b"a", b"octet"), ("127.0.0.1", server.port))
        answer = client.recv(2000)
        assert server._sessions == []
    assert answer == b"\0\5\0\0the file cannot be sent: the file has shrunk meanwhile\0"
    assert file.closed
    assert [type(event) for event in told] == [TftpRefused]
