import contextlib
import socket

import pytest

from bakery.lab.terminal import VIEWER_BUFFER_BYTES, Terminal, connect
from bakery.vm.console import CUT_MARK

SECONDS = 30


@pytest.fixture
def node(tmp_path):
    terminal = Terminal(tmp_path / "console.socket", tmp_path / "console.log")
    terminal.start()
    yield terminal
    terminal.close()


def take(connection: socket.socket, count: int) -> bytes:
    connection.settimeout(SECONDS)
    taken = b""
    while len(taken) < count:
        piece = connection.recv(count - len(taken))
        assert piece, taken
        taken += piece
    return taken


def test_all_who_watch_see_the_same_and_any_of_them_types(node, tmp_path):
    place = tmp_path / "console.socket"
    with connect(place) as one, connect(place) as other:
        node.guest.send(b"login: ")
        assert take(one, 7) == take(other, 7) == b"login: "
        one.send(b"ro")
        assert take(node.guest, 2) == b"ro"
        other.send(b"ot\r")
        assert take(node.guest, 3) == b"ot\r"
    assert (tmp_path / "console.log").read_bytes() == b"login: "


def test_who_comes_later_sees_the_last_of_what_was(node, tmp_path):
    place = tmp_path / "console.socket"
    with connect(place) as first:
        node.guest.send(b"x" * 5000 + b"the end")
        take(first, 5007)
        with connect(place) as second:
            assert take(second, 4096).endswith(b"xxthe end")


def test_the_node_goes_on_when_a_viewer_reads_nothing(node, tmp_path, monkeypatch):
    place = tmp_path / "console.socket"
    with connect(place), connect(place) as awake:
        piece = b"y" * 4096
        for _ in range(2 * VIEWER_BUFFER_BYTES // len(piece)):
            node.guest.settimeout(SECONDS)
            node.guest.sendall(piece)
            take(awake, len(piece))


def test_a_viewer_that_is_away_for_a_moment_misses_nothing_of_a_node_that_prints_by_the_character(
    node, tmp_path
):
    place = tmp_path / "console.socket"
    with connect(place) as away, connect(place) as awake:
        for _ in range(3000):
            node.guest.sendall(b"z")
            take(awake, 1)
        assert take(away, 3000) == b"z" * 3000


def test_a_viewer_that_stays_away_is_let_go(node, tmp_path):
    place = tmp_path / "console.socket"
    with connect(place) as away, connect(place) as awake:
        for _ in range(3 * VIEWER_BUFFER_BYTES // 4096):
            node.guest.settimeout(SECONDS)
            node.guest.sendall(b"y" * 4096)
            take(awake, 4096)
        away.settimeout(SECONDS)
        seen = 0
        while piece := away.recv(1 << 20):
            seen += len(piece)
        assert seen < 2 * VIEWER_BUFFER_BYTES


def test_what_was_typed_while_the_node_was_off_is_forgotten(node, tmp_path):
    with connect(tmp_path / "console.socket") as viewer:
        viewer.send(b"rm -rf /\r")
        take_one = node.guest.recv(1)
        assert take_one == b"r"
        node.forget_input()
        viewer.send(b"!")
        assert take(node.guest, 1) == b"!"


def test_the_file_has_an_end_and_says_so(tmp_path):
    node = Terminal(tmp_path / "console.socket", tmp_path / "console.log", log_limit_bytes=10)
    node.start()
    with connect(tmp_path / "console.socket") as viewer:
        for _ in range(3):
            node.guest.send(b"12345678")
            take(viewer, 8)
    node.close()
    assert (tmp_path / "console.log").read_bytes() == b"1234567812" + CUT_MARK


def test_more_viewers_than_there_are_places_are_sent_away(tmp_path):
    node = Terminal(tmp_path / "console.socket", tmp_path / "console.log", most_viewers=1)
    node.start()
    with contextlib.closing(node), connect(tmp_path / "console.socket") as one:
        node.guest.send(b"a")
        assert take(one, 1) == b"a"
        with connect(tmp_path / "console.socket") as other:
            other.settimeout(SECONDS)
            assert other.recv(1) == b""
        node.guest.send(b"b")
        assert take(one, 1) == b"b"


def test_sixteen_may_watch(node, tmp_path):
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(connect(tmp_path / "console.socket")) for _ in range(17)]
        viewers[-1].settimeout(SECONDS)
        assert viewers[-1].recv(1) == b""
        node.guest.send(b"a")
        assert [take(viewer, 1) for viewer in viewers[:-1]] == [b"a"] * 16


def test_a_path_longer_than_an_address_serves_and_is_its_owners_alone(tmp_path):
    folder = tmp_path / ("long" * 30) / ("longer" * 30)
    folder.mkdir(parents=True)
    node = Terminal(folder / "console.socket", folder / "console.log")
    node.start()
    assert (folder / "console.socket").stat().st_mode & 0o077 == 0
    with connect(folder / "console.socket") as viewer:
        node.guest.send(b"here")
        assert take(viewer, 4) == b"here"
    node.close()
    with pytest.raises(ConnectionRefusedError):
        connect(folder / "console.socket")
