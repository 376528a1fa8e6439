"""A disk behind an NBD server: qemu's own, and one that says what a test has it say."""

import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from bakery.conductor import nbd
from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.nbd import Nbd

MIB = 1 << 20
SIZE = 8 * MIB
HAS_FLAGS = 1
GREETING = b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 3)


@pytest.fixture
def served(tmp_path):
    """A disk file of 0x55 behind a real qemu-nbd; `served("--read-only")` adds its options."""
    file, place = tmp_path / "disk", tmp_path / "socket"
    file.write_bytes(b"\x55" * SIZE)
    servers = []

    def connect(*options):
        words = ["qemu-nbd", "--socket", place, "--format", "raw", *options, file]
        servers.append(subprocess.Popen(words))
        until = time.monotonic() + 20
        link = socket.socket(socket.AF_UNIX)
        while link.connect_ex(str(place)):
            assert time.monotonic() < until
            time.sleep(0.01)
        link.settimeout(20)
        return link, file, servers[-1]

    yield connect
    for server in servers:
        server.kill()
        server.wait()


def test_what_is_written_is_on_the_disk_once_it_is_flushed(served):
    link, file, _ = served()
    disk = Nbd(link)
    assert disk.size_bytes == SIZE
    disk.write(4096, memoryview(b"one" * 1000))
    disk.write(0, memoryview(b"two"))
    disk.zero(MIB, 2 * MIB)
    disk.flush()
    content = file.read_bytes()
    assert content[4096:7096] == b"one" * 1000 and content[7096:7099] == b"\x55" * 3
    assert content[:4] == b"two\x55"
    assert content[MIB - 1 : 3 * MIB + 1] == b"\x55" + bytes(2 * MIB) + b"\x55"
    assert disk.read(4095, 4) == b"\x55one"


def test_what_is_asked_for_ahead_comes_to_its_own_place(served):
    link, file, _ = served()
    content = os.urandom(SIZE)
    file.write_bytes(content)
    disk = Nbd(link)
    places = [(number * 100_000, bytearray(4096 + number)) for number in range(30)]
    tickets = [disk.read_into(offset, memoryview(target)) for offset, target in places]
    assert len(set(tickets)) == 30
    disk.wait(tickets[-1])
    disk.settle()
    for offset, target in places:
        assert target == content[offset : offset + len(target)]


def test_the_server_ends_when_leave_is_taken(served):
    link, file, server = served()
    disk = Nbd(link)
    disk.write(0, memoryview(b"last"))
    disk.disconnect()
    link.close()
    assert server.wait(20) == 0
    assert file.read_bytes()[:4] == b"last"


def test_a_disk_that_is_read_only_is_refused_at_once(served):
    link, _, _ = served("--read-only")
    with pytest.raises(DiskFailed, match="offers it read-only"):
        Nbd(link)


def test_a_request_beyond_the_end_is_told_with_its_place(served):
    link, _, _ = served()
    disk = Nbd(link)
    disk.write(SIZE, memoryview(b"x"))
    with pytest.raises(DiskFailed, match=f"could not be written at byte {SIZE}: "):
        disk.settle()
    with pytest.raises(DiskFailed, match=f"could not be read at byte {SIZE}: "):
        disk.read(SIZE, 1)


def test_a_server_that_is_stopped_is_waited_for_and_no_longer(served):
    link, _, server = served()
    disk = Nbd(link)
    link.settimeout(0.2)
    server.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(DiskFailed, match=r"did not respond for 0\.2 s"):
            disk.read(0, 1)
    finally:
        server.send_signal(signal.SIGCONT)


class Server:
    """The other side of a connection: it agrees as it is told, and then answers each request.

    `answer` maps a request (kind, ticket, offset, length) to an error number, a reply's bytes, or
    None for no answer yet.
    """

    def __init__(self, flags=HAS_FLAGS | nbd.SEND_FLUSH | nbd.SEND_WRITE_ZEROES, **how):
        self.here, self.there = socket.socketpair()
        self.here.settimeout(10)
        self.there.settimeout(10)
        self.read = self.there.makefile("rb")
        self.flags = flags
        self.greeting = how.get("greeting", GREETING)
        self.replies = how.get("replies")
        self.answer = how.get("answer", lambda *_: 0)
        self.seen = []
        self.asked = b""
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def exactly(self, count):
        content = self.read.read(count)
        if len(content) < count:
            raise ConnectionError
        return content

    def serve(self):
        try:
            self.there.sendall(self.greeting)
            self.asked = self.exactly(4 + 16 + 6)
            info = struct.pack(">HQH", nbd.INFO_EXPORT, SIZE, self.flags)
            usual = [(nbd.REP_INFO, info), (nbd.REP_ACK, b"")]
            for reply in usual if self.replies is None else self.replies:
                self.there.sendall(reply if isinstance(reply, bytes) else option(*reply))
            while True:
                self.request()
        except OSError:
            self.there.close()

    def request(self):
        magic, flags, kind, ticket, offset, length = struct.unpack(">IHHQQI", self.exactly(28))
        assert (magic, flags) == (nbd.REQUEST_MAGIC, 0)
        data = self.exactly(length) if kind == nbd.WRITE else b""
        self.seen.append((kind, offset, length, data))
        found = self.answer(kind, ticket, offset, length)
        if isinstance(found, int):
            content = bytes(length) if kind == nbd.READ and not found else b""
            found = reply(ticket, found) + content
        if found is not None and kind != nbd.DISCONNECT:
            self.there.sendall(found)

    def disk(self):
        return Nbd(self.here)


def option(kind, content, magic=nbd.OPTION_REPLY_MAGIC, length=None):
    length = len(content) if length is None else length
    return struct.pack(">QIII", magic, nbd.OPT_GO, kind, length) + content


def reply(ticket, error=0, magic=nbd.REPLY_MAGIC):
    return struct.pack(">IIQ", magic, error, ticket)


def test_the_export_without_a_name_is_asked_for():
    server = Server()
    assert server.disk().size_bytes == SIZE
    flags, magic, kind, length = struct.unpack(">IQII", server.asked[:20])
    assert (flags, magic, kind, length) == (3, nbd.OPTION_MAGIC, nbd.OPT_GO, 6)
    assert server.asked[20:] == bytes(6)


def test_what_the_server_does_not_offer_is_not_taken_up():
    server = Server(greeting=GREETING[:-2] + struct.pack(">H", 0x8001))
    server.disk()
    assert server.asked[:4] == struct.pack(">I", 1)


INFO = (nbd.REP_INFO, struct.pack(">HQH", nbd.INFO_EXPORT, SIZE, HAS_FLAGS))
OTHER = (nbd.REP_INFO, struct.pack(">H", 3) + bytes(10))
ACK = (nbd.REP_ACK, b"")


@pytest.mark.parametrize(
    "replies", [[INFO, ACK], [OTHER, INFO, ACK], [INFO, OTHER, ACK], [OTHER] * 14 + [INFO, ACK]]
)
def test_the_size_is_found_among_other_news(replies):
    assert Server(replies=replies).disk().size_bytes == SIZE


@pytest.mark.parametrize(
    "replies",
    [
        [ACK] * 16,
        [OTHER] * 16,
        [OTHER] * 15 + [INFO, ACK],
        [(1 << 31 | 1, b"")],
        [option(nbd.REP_INFO, b"", magic=7)],
        [option(nbd.REP_INFO, b"", length=(64 << 10) + 1)],
    ],
)
def test_a_server_without_the_disk_is_told_so(replies):
    with pytest.raises(DiskFailed, match="does not offer the disk"):
        Server(replies=replies).disk()


@pytest.mark.parametrize("length", [2, 11, 13])
def test_an_export_that_is_told_of_in_other_words_is_refused(length):
    torn = (nbd.REP_INFO, INFO[1].ljust(length, b"\0")[:length])
    with pytest.raises(DiskFailed, match="broke the NBD protocol"):
        Server(replies=[torn, ACK]).disk()


@pytest.mark.parametrize(
    ("number", "words"), [(28, "No space left"), (4096, "error 4096"), (0xFFFFFFFF, "error 42949")]
)
def test_an_error_of_whatever_number_is_told(number, words):
    disk = Server(answer=lambda *_: number).disk()
    with pytest.raises(DiskFailed, match=f"could not be read at byte 0: {words}"):
        disk.read(0, 1)


def test_news_as_long_as_they_may_be_are_read():
    long = (nbd.REP_INFO, struct.pack(">H", 3) + bytes((64 << 10) - 2))
    assert Server(replies=[long, INFO, ACK]).disk().size_bytes == SIZE


def test_what_is_no_nbd_server_is_told_so():
    with pytest.raises(DiskFailed, match="does not speak NBD"):
        Server(greeting=b"SSH-2.0-OpenSSH_9.2p1 Debian").disk()


def test_a_server_that_goes_away_before_it_agrees_is_told_so():
    here, there = socket.socketpair()
    there.sendall(GREETING[:7])
    there.close()
    with pytest.raises(DiskFailed, match="connection to the disk was lost"):
        Nbd(here)


def test_a_large_write_goes_in_pieces_and_a_large_range_of_zeros_too():
    server = Server()
    disk = server.disk()
    data = memoryview(bytes(nbd.REQUEST_LIMIT_BYTES + 5))
    disk.write(100, data)
    disk.settle()
    limit = nbd.REQUEST_LIMIT_BYTES
    assert [one[:3] for one in server.seen] == [(1, 100, limit), (1, 100 + limit, 5)]
    server.seen.clear()
    limit = nbd.ZERO_LIMIT_BYTES
    disk.zero(7, 2 * limit + 3)
    disk.settle()
    assert [one[:3] for one in server.seen] == [
        (6, 7, limit), (6, 7 + limit, limit), (6, 7 + 2 * limit, 3)
    ]  # fmt: skip


def test_no_more_than_a_request_holds_can_be_asked_for():
    disk = Server().disk()
    with pytest.raises(ValueError, match="more than one request"):
        disk.read_into(0, memoryview(bytearray(nbd.REQUEST_LIMIT_BYTES + 1)))
    disk.wait(disk.read_into(0, memoryview(bytearray(nbd.REQUEST_LIMIT_BYTES))))


def test_requests_wait_for_their_replies_when_the_window_is_full():
    server = Server(answer=lambda *_: None)
    disk = server.disk()
    for number in range(nbd.WINDOW):
        disk.write(number, memoryview(b"x"))
    server.here.settimeout(0.2)
    with pytest.raises(DiskFailed, match="did not respond"):
        disk.write(99, memoryview(b"y"))
    assert [offset for _, offset, _, _ in server.seen] == list(range(nbd.WINDOW))


def test_replies_may_come_in_any_order():
    held = []

    def answer(kind, ticket, offset, length):
        held.append(reply(ticket) + bytes([offset]) * length)
        return b"".join(reversed(held)) if len(held) == 3 else None

    disk = Server(answer=answer).disk()
    targets = [bytearray(2) for _ in range(3)]
    tickets = [disk.read_into(n + 1, memoryview(target)) for n, target in enumerate(targets)]
    for ticket in tickets:
        disk.wait(ticket)
    assert targets == [b"\1\1", b"\2\2", b"\3\3"]


@pytest.mark.parametrize(
    "answer",
    [lambda _k, ticket, *_: reply(ticket + 1), lambda _k, ticket, *_: reply(ticket, magic=1)],
)
def test_a_reply_that_belongs_to_nothing_breaks_the_protocol(answer):
    disk = Server(answer=answer).disk()
    with pytest.raises(DiskFailed, match="broke the NBD protocol"):
        disk.read(0, 1)


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda disk: disk.write(5, memoryview(b"x")), "written at byte 5"),
        (lambda disk: disk.zero(6, 1), "zeroed at byte 6"),
        (lambda disk: disk.read(7, 1), "read at byte 7"),
        (lambda disk: disk.flush(), "flushed"),
    ],
)
def test_what_the_disk_did_not_carry_out_is_told_with_its_reason(do, words):
    disk = Server(answer=lambda *_: 28).disk()
    with pytest.raises(DiskFailed, match=f"could not be {words}: No space left on device"):
        do(disk)
        disk.settle()


def test_a_flush_comes_after_all_that_was_written():
    server = Server()
    disk = server.disk()
    disk.write(0, memoryview(b"x"))
    disk.flush()
    assert [kind for kind, *_ in server.seen] == [nbd.WRITE, nbd.FLUSH]


def test_a_server_that_cannot_flush_is_not_asked_to():
    server = Server(flags=HAS_FLAGS)
    disk = server.disk()
    disk.write(0, memoryview(b"x"))
    disk.flush()
    assert [kind for kind, *_ in server.seen] == [nbd.WRITE]


def test_zeros_need_a_server_that_can_write_them():
    with pytest.raises(DiskFailed, match="does not support writing zeros"):
        Server(flags=HAS_FLAGS | nbd.SEND_FLUSH).disk().zero(0, 1)


def test_a_discard_asks_for_nothing():
    server = Server()
    disk = server.disk()
    disk.discard()
    disk.flush()
    assert [kind for kind, *_ in server.seen] == [nbd.FLUSH]


def test_leave_is_taken_when_everything_is_done():
    server = Server()
    disk = server.disk()
    disk.write(0, memoryview(b"x"))
    disk.disconnect()
    server.here.close()
    server.thread.join(10)
    assert [one[:3] for one in server.seen] == [(nbd.WRITE, 0, 1), (nbd.DISCONNECT, 0, 0)]


def test_a_connection_that_breaks_is_told_by_whoever_writes_or_reads():
    for do in (
        lambda disk: disk.write(0, memoryview(bytes(MIB))),
        lambda disk: disk.read(0, 1),
    ):
        server = Server()
        disk = server.disk()
        server.there.shutdown(socket.SHUT_RDWR)
        with pytest.raises(DiskFailed, match="connection to the disk was lost"):
            do(disk)
            disk.settle()
