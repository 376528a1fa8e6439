"""Chunks from a server: what is asked for together, again, and no more."""

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.node.agent import http, multicast
from bakery.node.agent.errors import AgentError
from bakery.node.agent.fetch import GROUP_BYTES, Fetch, Patience, _groups
from bakery.node.agent.image import Chunk
from bakery.node.agent.not_now import NotNow
from bakery.node.agent.write_list import Work
from tests.node.agent.served import MIB, QUICK, TABLE, Served, brought

SIZE = 6 * MIB
PLACES = (0, MIB, 3 * MIB, 4 * MIB)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path, SIZE, PLACES)
    with served.server:
        yield served


class Kept:
    """What was put, and by how many threads."""

    def __init__(self) -> None:
        self.content: dict[int, bytes] = {}
        self.threads: set[int] = set()

    def put(self, work: Work, view: memoryview) -> None:
        assert work.number not in self.content
        self.content[work.number] = bytes(view)
        self.threads.add(threading.get_ident())

    def tick(self) -> None:
        pass


def work(number: int, offset: int, length: int, url: str = "http://a/b") -> Work:
    chunk = Chunk(number, offset, length, b"", b"")
    return Work(number, url, chunk, number * MIB, MIB)


def numbers(works) -> list[list[int]]:
    return [[one.number for one in group] for group in _groups(works)]


def test_frames_that_touch_are_asked_for_together():
    assert numbers([]) == []
    assert numbers([work(0, 0, 10), work(1, 10, 5), work(2, 16, 1), work(4, 17, 9)]) == [
        [0, 1],
        [2, 4],
    ]
    assert numbers([work(0, 0, 10), work(1, 10, 5, "http://a/c")]) == [[0], [1]]


def test_together_they_are_not_too_many_bytes():
    half = GROUP_BYTES // 2
    assert numbers([work(n, n * half, half) for n in range(5)]) == [[0, 1], [2, 3], [4]]
    assert numbers([work(0, 0, half), work(1, half, half + 1)]) == [[0], [1]]
    assert numbers([work(0, 0, 2 * GROUP_BYTES)]) == [[0]]


def test_all_that_is_wanted_is_put_once_by_threads_of_its_own(served):
    kept, listed = Kept(), served.write_list()
    source = Fetch(listed, patience=QUICK)
    wanted = listed.rest[1:]
    source.bring(wanted, kept.put, kept.tick)
    base = served.base.read_bytes()
    assert kept.content == {one.number: base[one.at - MIB :][: one.length] for one in wanted}
    assert threading.get_ident() not in kept.threads
    served.server.stop()
    assert sum(event.sent_bytes for event in served.events) == sum(
        one.chunk.length for one in wanted
    )


def test_what_arrived_is_known_again_and_what_did_not_by_its_digest(served):
    kept, listed = Kept(), served.write_list()
    source = Fetch(listed, patience=QUICK)
    first, second = listed.rest[:2]
    source.bring([first], kept.put, kept.tick)
    right = kept.content[first.number]
    assert source.is_in(first, memoryview(right))
    assert not source.is_in(first, memoryview(b"\0" + right[1:]))
    content = served.base.read_bytes()[second.at - MIB :][: second.length]
    assert source.is_in(second, memoryview(content))
    assert not source.is_in(second, memoryview(right))


def test_one_chunk_is_fetched_alone(served):
    (head,) = served.write_list().head
    assert Fetch(served.write_list(), patience=QUICK).content(head) == TABLE
    served.server.stop()
    assert len(served.events) == 1


def test_an_error_where_it_is_put_ends_all(served):
    def put(_work, _view):
        raise AgentError("the disk is gone")

    source = Fetch(served.write_list(), patience=QUICK)
    with pytest.raises(AgentError, match="the disk is gone"):
        source.bring(source.layout.rest, put, lambda: None)


def test_a_frame_that_is_damaged_is_never_put_and_asked_for_until_patience_ends(served):
    listed, kept = served.write_list(), Kept()
    bad = listed.rest[1]
    served.frames[bad.chunk.offset + bad.chunk.length // 2] ^= 1
    served.tree.put("base.zst", bytes(served.frames))
    source = Fetch(listed, patience=QUICK._replace(silence=0.2))
    words = f"can no longer be fetched: the chunk for byte {bad.at} arrived damaged"
    with pytest.raises(AgentError, match=words):
        source.bring(listed.rest, kept.put, kept.tick)
    assert bad.number not in kept.content
    assert len(served.events) > 2


def test_a_server_that_comes_back_is_gone_on_with(served, monkeypatch):
    listed, kept = served.write_list(), Kept()
    good, fails = http.Connection, [3]

    class Connection(good):  # type: ignore[misc, valid-type]
        def ask(self, start, length):
            if fails[0]:
                fails[0] -= 1
                raise ConnectionResetError(104, "Connection reset by peer")
            super().ask(start, length)

    monkeypatch.setattr(http, "Connection", Connection)
    Fetch(listed, patience=QUICK).bring(listed.rest, kept.put, kept.tick)
    assert len(kept.content) == len(listed.rest)


def test_a_connection_that_breaks_is_left_alone_ever_longer(served, monkeypatch):
    listed, asked, now = served.write_list(), [], [0.0]

    def refuse(*_place):
        asked.append(now[0])
        raise ConnectionRefusedError(111, "Connection refused")

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(http, "Connection", refuse)
    source = Fetch(listed, patience=Patience(silence=30, first_pause=1, longest_pause=5))
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    source._groups.append(deque(listed.rest[:1]))
    source._work(lambda *_: None)
    assert asked == [0, 1, 3, 7, 12, 17, 22, 27]
    assert str(source._error) == "the image can no longer be fetched: Connection refused"


@pytest.mark.parametrize(
    ("wait", "asked"), [(0, [0, 1, 3, 7, 12, 17, 22, 27]), (12, [0, 12, 24]), (31, [0])]
)
def test_a_server_that_asks_for_it_is_left_alone_for_as_long(served, monkeypatch, wait, asked):
    listed, seen, now = served.write_list(), [], [0.0]

    def refuse(*_place):
        seen.append(now[0])
        raise NotNow(429, wait)

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(http, "Connection", refuse)
    source = Fetch(listed, patience=Patience(silence=30, first_pause=1, longest_pause=5))
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    source._groups.append(deque(listed.rest[:1]))
    source._work(lambda *_: None)
    assert seen == asked
    assert "HTTP 429" in str(source._error)


def test_a_server_that_is_left_alone_keeps_nobody_waiting_for_an_error(served, monkeypatch):
    source = Fetch(served.write_list(), patience=QUICK)
    source._last_news = time.monotonic()
    monkeypatch.setattr(time, "sleep", lambda _seconds: setattr(source, "_error", AgentError("x")))
    source._pause(200, OSError(0, "busy"))
    assert str(source._error) == "x"


def test_an_image_comes_from_another_address_of_the_name(served, tmp_path, monkeypatch):
    """The first one answers nobody."""
    port = served.server.port
    found = [(socket.AF_INET, 1, 6, "", (a, port)) for a in ("127.0.0.9", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_more: found)
    listed = served.write_list(url=f"http://server.example:{port}")
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(48 * MIB))
    content = brought(disk, listed)
    assert content[MIB : MIB + SIZE] == served.base.read_bytes()


def test_without_an_interface_nothing_is_listened_to(served):
    assert Fetch(served.write_list(cast=9000), patience=QUICK)._casts == []
    assert Fetch(served.write_list(), "eth0", QUICK)._casts == []
    assert len(Fetch(served.write_list(cast=9000), "eth0", QUICK)._casts) == 1


@pytest.fixture
def casting(served, monkeypatch):
    """A multicast that brings these frames: the numbers of chunks, damaged ones below zero."""

    def source(*sent: int) -> tuple[Fetch, list[int]]:
        listed = served.write_list(cast=9000)
        heard: list[int] = []
        by_number = {one.number: one for one in listed.rest}

        def frames(works, port, interface, *_):
            assert (port, interface) == (9000, "eth0")
            heard.extend(one.number for one in works)
            for number in sent:
                one = by_number[abs(number)]
                frame = served.encrypted_frames[one.chunk.offset :][: one.chunk.length]
                yield one, frame if number > 0 else frame[:-1] + bytes([frame[-1] ^ 1])

        monkeypatch.setattr(multicast, "frames", frames)
        return Fetch(listed, "eth0", QUICK), heard

    return source


def test_what_is_multicast_is_not_fetched(served, casting, capsys):
    source, heard = casting(*(one.number for one in served.write_list().rest))
    kept = Kept()
    source.bring(source.layout.rest, kept.put, kept.tick)
    assert len(kept.content) == len(heard) == len(source.layout.rest)
    served.server.stop()
    assert served.events == []
    count = len(heard)
    said = capsys.readouterr().out
    assert f"listening on port 9000 for {count} chunks" in said
    assert f"{count} of them arrived by multicast" in said


def test_what_does_not_come_whole_by_multicast_is_fetched(served, casting, capsys):
    one, other, *rest = (one.number for one in served.write_list().rest)
    source, _ = casting(one, -other)
    kept = Kept()
    source.bring(source.layout.rest, kept.put, kept.tick)
    assert len(kept.content) == len(source.layout.rest)
    assert "1 of them arrived by multicast" in capsys.readouterr().out
    served.server.stop()
    lengths = {work.number: work.chunk.length for work in source.layout.rest}
    sent = sum(event.sent_bytes for event in served.events)
    assert sent == sum(lengths[number] for number in (other, *rest))


def test_a_piece_of_which_something_is_there_is_fetched(served, casting):
    source, heard = casting()
    kept = Kept()
    source.bring(source.layout.rest[1:], kept.put, kept.tick)
    assert heard == []
    assert len(kept.content) == len(source.layout.rest) - 1


def test_an_error_where_a_frame_is_put_ends_the_listening(casting, served):
    source, _ = casting(*(one.number for one in served.write_list().rest))

    def put(_work, _view):
        raise AgentError("the disk is gone")

    with pytest.raises(AgentError, match="the disk is gone"):
        source.bring(source.layout.rest, put, lambda: None)


def test_a_sender_of_nothing_right_is_left_and_all_is_fetched(served, monkeypatch):
    left = threading.Event()

    def frames(works, _port, _interface, leave):
        leave(left.set)
        for _ in range(2000):
            if left.wait(0.01):
                return
            yield works[0], b"wrong"

    monkeypatch.setattr(multicast, "frames", frames)
    kept, patience = Kept(), QUICK._replace(wrong_sender=0.1)
    source = Fetch(served.write_list(cast=9000), "eth0", patience)
    source.bring(source.layout.rest, kept.put, kept.tick)
    assert left.is_set()
    assert len(kept.content) == len(source.layout.rest)
