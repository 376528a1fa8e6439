"""The TFTP server against busybox's client, curl, and datagrams no client would send."""

import contextlib
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.netboot import tftp
from bakery.netboot.tftp import ReadRequest, Refusal, TftpServer, parse_request
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, TftpAsked, TftpFailed, TftpRefused, TftpSent

BUSYBOX = shutil.which("busybox") or ""
TIMEOUT_SECONDS = 60
Kind = TypeVar("Kind", bound=msgspec.Struct)
TOKEN = b"0123456789abcdef"
BIG_BYTES = 3_000_001


class Served:
    """A server on loopback, and what it told."""

    def __init__(self, tree: Tree):
        self.events: list[Event] = []
        self.tree = tree
        self.server = TftpServer("127.0.0.1", tree, self.events.append, port=0)

    def told(self, kind: type[Kind], count: int = 1) -> list[Kind]:
        """The events of one kind, once there are so many: clients do not wait for them."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while len(events := self.of(kind)) < count:
            assert time.monotonic() < deadline, self.events
            time.sleep(0.01)
        return events

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(bytes(range(251)) * (BIG_BYTES // 251 + 1))
    with path.open("r+b") as file:
        file.truncate(BIG_BYTES)
    return path


@pytest.fixture
def served(big: Path) -> Iterator[Served]:
    tree = Tree()
    tree.put("uuid/deploy_ramdisk", big)
    tree.put("token-1", TOKEN)
    tree.put("empty", b"")
    tree.put("block", bytes(512))
    made = Served(tree)
    with made.server:
        yield made


def get(served: Served, name: str, to: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Fetch by busybox's client."""
    words: list[str | Path] = [BUSYBOX, "tftp", "-g", "-r", name, "-l", to, *options]
    return subprocess.run(
        [*words, "127.0.0.1", str(served.server.port)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


class Talk:
    """A client of datagrams: `send` goes to where the last answer came from."""

    def __init__(self, served: Served):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.peer = ("127.0.0.1", served.server.port)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, self.peer)

    def answer(self) -> bytes:
        data, self.peer = self.socket.recvfrom(70_000)
        return data

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.answer()


def request(name: str, *options: str, mode: str = "octet", code: int = 1) -> bytes:
    words = [name, mode, *options]
    return struct.pack("!H", code) + b"".join(word.encode() + b"\0" for word in words)


def ack(number: int) -> bytes:
    return struct.pack("!HH", 4, number)


def error(data: bytes) -> tuple[int, str]:
    kind, code = struct.unpack_from("!HH", data)
    assert kind == 5, data
    return code, data[4:-1].decode()


@pytest.mark.parametrize("options", [(), ("-b", "1468"), ("-b", "8192")])
def test_a_large_file_arrives_whole(served, big, tmp_path, options):
    done = get(served, "uuid/deploy_ramdisk", tmp_path / "got", *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got").read_bytes() == big.read_bytes()
    (sent,) = served.told(TftpSent)
    assert served.of(TftpAsked) == [TftpAsked("127.0.0.1", "uuid/deploy_ramdisk", BIG_BYTES)]
    assert (sent.path, sent.size_bytes) == ("uuid/deploy_ramdisk", BIG_BYTES)


@pytest.mark.parametrize(
    ("name", "content"),
    [("token-1", TOKEN), ("empty", b""), ("/token-1", TOKEN), ("block", bytes(512))],
)
def test_bytes_arrive_whole(served, tmp_path, name, content):
    assert get(served, name, tmp_path / "got").returncode == 0
    assert (tmp_path / "got").read_bytes() == content


def test_block_numbers_go_round(served, tmp_path):
    """More than 65535 blocks: the number after the last is 0."""
    served.server._tree.put("long", bytes(64 * 70_000))
    assert get(served, "long", tmp_path / "got", "-b", "64").returncode == 0
    assert (tmp_path / "got").stat().st_size == 64 * 70_000


def test_several_clients_at_once_get_their_own_bytes(served, big, tmp_path):
    names = ["uuid/deploy_ramdisk", "token-1"] * 4

    def fetch(number):
        assert get(served, names[number], tmp_path / str(number), "-b", "1468").returncode == 0
        return (tmp_path / str(number)).read_bytes()

    with ThreadPoolExecutor(len(names)) as pool:
        got = list(pool.map(fetch, range(len(names))))
    assert got == [big.read_bytes(), TOKEN] * 4
    assert len(served.told(TftpSent, len(names))) == len(names)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "//etc/passwd", "uuid/../../../etc/passwd", "..", "uuid"],
)
def test_a_path_that_is_not_listed_is_refused(served, tmp_path, name):
    assert get(served, name, tmp_path / "got").returncode != 0
    assert served.told(TftpRefused) == [TftpRefused("127.0.0.1", name, "there is no such file")]
    assert served.of(TftpAsked) == []


def test_a_write_is_refused(served, tmp_path):
    (tmp_path / "new").write_text("x")
    words = [
        "tftp",
        "-p",
        "-r",
        "new",
        "-l",
        tmp_path / "new",
        "127.0.0.1",
        str(served.server.port),
    ]
    done = subprocess.run(
        [BUSYBOX, *words], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert done.returncode != 0
    assert "this server is read-only" in done.stderr
    assert served.told(TftpRefused) == [TftpRefused("127.0.0.1", "new", "this server is read-only")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (request("token-1", mode="netascii"), 4),
        (request("token-1", "blksize", "abc"), 4),
        (request("token-1", "blksize", "-5"), 4),
        (request("token-1", "blksize", "0"), 4),
        (request("token-1", "blksize", "9" * 40), 4),
        (request("token-1", "blksize"), 4),
        (request("token-1")[:-1], 4),
        (request("token-1") + b"x" * tftp.REQUEST_LIMIT_BYTES, 4),
        (b"\0\1", 4),
        (b"\0\1\0", 4),
        (b"\0\x09x", 4),
        (b"\0", 4),
        (b"", 4),
        (request("tok\xe9n"), 1),
        (ack(5), 4),
    ],
)
def test_a_malformed_request_is_refused_and_the_next_is_served(served, data, code):
    with Talk(served) as talk:
        assert error(talk.ask(data))[0] == code
    with Talk(served) as talk:
        assert talk.ask(request("token-1"))[4:] == TOKEN


def test_only_options_that_were_asked_for_are_acknowledged(served):
    """RFC 2347; boot firmware asks for the size alone."""
    with Talk(served) as talk:
        answer = talk.ask(request("uuid/deploy_ramdisk", "tsize", "0", "windowsize", "16"))
        assert answer == b"\0\6tsize\0" + str(BIG_BYTES).encode() + b"\0"
        assert len(talk.ask(ack(0))) == 4 + 512
    with Talk(served) as talk:
        assert talk.ask(request("uuid/deploy_ramdisk", "windowsize", "16"))[:4] == b"\0\3\0\1"


def test_blocks_are_no_larger_than_a_frame(served):
    with Talk(served) as talk:
        answer = talk.ask(request("uuid/deploy_ramdisk", "BLKSIZE", "65464"))
        assert answer == b"\0\6blksize\0001468\0"
        assert len(talk.ask(ack(0))) == 4 + 1468


def test_a_block_that_was_lost_is_sent_again(served):
    with Talk(served) as talk:
        first = talk.ask(request("uuid/deploy_ramdisk"))
        assert talk.answer() == first
        assert talk.ask(ack(1))[2:4] == b"\0\2"


def test_nobody_else_can_acknowledge(served):
    with Talk(served) as talk, Talk(served) as stranger:
        talk.ask(request("uuid/deploy_ramdisk"))
        stranger.peer = talk.peer
        for number in range(1, 50):
            stranger.send(ack(number))
        assert talk.ask(ack(1))[2:4] == b"\0\2"


def test_garbage_within_a_transfer_ends_that_transfer_alone(served, tmp_path):
    with Talk(served) as talk:
        talk.ask(request("uuid/deploy_ramdisk"))
        talk.send(b"\0\6blksize")
        talk.send(b"\xff")
        assert get(served, "token-1", tmp_path / "got").returncode == 0
    assert len(served.told(TftpFailed)) == 1


def test_a_client_that_gives_up_is_told_with_its_words(served, tmp_path):
    with Talk(served) as talk:
        talk.ask(request("uuid/deploy_ramdisk", "tsize", "0"))
        talk.send(struct.pack("!HH", 5, 0) + b"User aborted\0")
        assert get(served, "token-1", tmp_path / "got").returncode == 0
    assert [event.path for event in served.told(TftpFailed)] == ["uuid/deploy_ramdisk"]


def test_one_client_has_so_many_transfers_and_no_more(served):
    with Talk(served) as talk:
        talks = [Talk(served) for _ in range(tftp.SESSIONS_PER_CLIENT)]
        for one in talks:
            one.ask(request("uuid/deploy_ramdisk"))
            one.ask(ack(1))
        assert "too many" in error(talk.ask(request("token-1")))[1]
        for one in talks:
            one.socket.close()


def test_stopping_breaks_transfers_off_and_says_so(big):
    tree = Tree()
    tree.put("big", big)
    served = Served(tree)
    with served.server, Talk(served) as talk:
        talk.ask(request("big"))
    assert served.of(TftpFailed) == [TftpFailed("127.0.0.1", "big", "the server stops")]


def test_a_port_that_is_taken_is_said_with_the_way_out(served):
    with pytest.raises(BakeryError, match="cannot be served on port") as caught:
        TftpServer("127.0.0.1", Tree(), print, port=served.server.port).start()
    assert "ss -lnp" in caught.value.hint
    with pytest.raises(BakeryError, match="cannot be served"):
        TftpServer("192.0.2.1", Tree(), print, port=0).start()


@given(st.binary(max_size=1200))
@example(request("a", "tsize", "0"))
def test_bytes_are_a_read_request_or_refused(data):
    try:
        found = parse_request(data)
    except Refusal as refusal:
        assert refusal.path.isprintable()
    else:
        assert isinstance(found, ReadRequest)
        assert all(isinstance(value, int) for value in found.options.values())


def test_a_file_of_another_is_refused_and_told(served, tmp_path):
    served.tree.put("mine", b"x", lambda asker: f"not for {asker.address}")
    done = get(served, "mine", tmp_path / "mine")
    assert done.returncode != 0
    assert served.told(TftpRefused) == [TftpRefused("127.0.0.1", "mine", "not for 127.0.0.1")]


def test_requests_that_nobody_follows_up_do_not_keep_their_client_out(served, tmp_path):
    """As those that somebody else sends with its address as their source."""
    with contextlib.ExitStack() as held:
        for _ in range(3 * tftp.SESSIONS_PER_CLIENT):
            held.enter_context(Talk(served)).send(request("uuid/deploy_ramdisk"))
        assert get(served, "token-1", tmp_path / "token").returncode == 0


def test_a_file_counts_as_taken_when_the_client_has_it_all(served, tmp_path):
    taken: list[bool] = []
    served.tree.put("once", bytes(1000), None, lambda: taken.append(True))
    with Talk(served) as talk:
        talk.ask(request("once"))
    assert taken == []
    assert get(served, "once", tmp_path / "once").returncode == 0
    served.told(TftpSent)
    assert taken == [True]
