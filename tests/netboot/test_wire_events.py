import threading

import msgspec
import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.wire_events import (
    DhcpRival,
    Event,
    Http,
    Seldom,
    TftpAsked,
    WireLog,
    read_log,
    readable,
)

EVENTS: list[Event] = [
    TftpAsked("10.0.0.1", "a", 5),
    Http("10.0.0.1", "GET", "/a", 200),
    DhcpRival("1.1.1.1", ""),
]


def test_a_wire_log_is_read_back_in_order(tmp_path):
    log = WireLog(tmp_path / "log")
    for event in EVENTS:
        log(event)
    log.close()
    entries = list(read_log(tmp_path / "log"))
    assert [entry.event for entry in entries] == EVENTS
    times = [entry.unix_seconds for entry in entries]
    assert times == sorted(times)


def test_several_threads_write_whole_lines(tmp_path):
    log = WireLog(tmp_path / "log")

    def write():
        for _ in range(200):
            log(EVENTS[0])

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log.close()
    assert [entry.event for entry in read_log(tmp_path / "log")] == [EVENTS[0]] * 800


def test_a_torn_last_line_is_left_out(tmp_path):
    log = WireLog(tmp_path / "log")
    log(EVENTS[0])
    log.close()
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"unix_sec')
    assert len(list(read_log(tmp_path / "log"))) == 1


def test_another_file_is_no_wire_log(tmp_path):
    (tmp_path / "log").write_text('{"a": 1}\n')
    with pytest.raises(BakeryError, match="not a wire log"):
        list(read_log(tmp_path / "log"))


@pytest.mark.parametrize("text", ["a\nb\x1b[2J", b"a\nb\xff\x00", "x" * 10_000, b"\xff" * 10_000])
def test_texts_from_the_network_are_bounded_and_printable(text):
    shown = readable(text)
    assert shown.isprintable()
    assert len(shown) <= 1000


def test_like_events_are_told_once_and_kinds_of_them_are_bounded():
    seldom = Seldom(seconds=1000, limit=3)
    assert [seldom(key) for key in ("a", "a", "b", "c", "d", "a")] == [
        *(True, False, True, True, False, False)
    ]


def test_events_of_all_kinds_have_a_tag_of_their_own():
    tags = [kind.__struct_config__.tag for kind in Event.__args__]
    assert len(set(tags)) == len(tags)
    assert msgspec.json.decode(msgspec.json.encode(EVENTS[0]), type=Event) == EVENTS[0]


def test_a_log_that_grows_large_goes_on_in_another_and_the_last_is_kept(tmp_path):
    path = tmp_path / "log"
    log, other = WireLog(path, 4000), WireLog(path, 4000)  # two processes
    for _ in range(100):
        log(EVENTS[0])
        other(EVENTS[0])
    log.close()
    other.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1"]
    assert path.stat().st_size < 5000 > path.with_name("log.1").stat().st_size
    assert list(read_log(path.with_name("log.1")))


def test_what_an_event_does_not_say_is_nothing():
    told = msgspec.to_builtins(Http("10.0.0.1", "GET", "/a", 200))
    assert (told["sent_bytes"], told["seconds"], told["reason"]) == (0, 0.0, "")


def test_after_its_time_a_like_event_is_told_again(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bakery.netboot.wire_events.time.monotonic", lambda: now[0])
    seldom = Seldom(seconds=10, limit=1)
    assert (seldom("a"), seldom("b")) == (True, False)
    now[0] += 9
    assert not seldom("a")
    now[0] += 1
    assert (seldom("b"), seldom("a")) == (True, False)
