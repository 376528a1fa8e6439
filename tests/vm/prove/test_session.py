"""A console watched for a time: what is said comes by a script, and time passes only there."""

import pytest

from bakery.host.report import Event, Step
from bakery.vm.prove import session
from bakery.vm.prove.session import NOTE_SECONDS, POLL_SECONDS, SHOWN_CHARACTERS, Session


class Console:
    """Says what it is given: at each read the lines and the open one, or its end (None)."""

    def __init__(self, *said) -> None:
        self.said = list(said)
        self.closed = False
        self.partial = ""
        self.received_bytes = 0
        self.now = 100.0
        self.waits: list[float] = []
        self.typed: list[str] = []

    def monotonic(self) -> float:
        return self.now

    def read(self, seconds: float) -> list[str]:
        self.waits.append(seconds)
        self.now += seconds
        if not self.said:
            return []
        told = self.said.pop(0)
        if told is None:
            self.closed = True
            return []
        lines: list[str]
        *lines, self.partial = told
        self.received_bytes += sum(map(len, told))
        return lines

    def send(self, text: str) -> None:
        self.typed.append(text)


@pytest.fixture
def watch(monkeypatch):
    """A session of so many seconds at a console that says this; the events it tells."""

    def begin(console, seconds, on_output=lambda: None):
        monkeypatch.setattr(session, "time", console)
        events: list[Event] = []
        return Session(console, Step("boot", events.append, 0.1), seconds, on_output), events

    return begin


def test_whole_lines_come_once_and_the_open_one_at_each_look(watch):
    console = Console(["one", "two", "log"], ["login: "], None)
    told, _ = watch(console, 60)
    assert list(told.texts()) == [
        *[("one", True), ("two", True), ("log", False)],
        *[("login: ", False), ("login: ", False)],
    ]
    assert told.over


def test_texts_end_at_the_deadline(watch):
    told, _ = watch(Console(), 1.0)
    assert not told.over
    assert list(told.texts()) == [("", False)] * 4
    assert told.over
    assert list(told.texts()) == []


def test_texts_end_after_the_seconds_that_are_asked_for_but_never_after_the_deadline(watch):
    console = Console()
    told, _ = watch(console, 1.0)
    assert len(list(told.texts(0.6))) == 3
    assert console.waits == pytest.approx([POLL_SECONDS, POLL_SECONDS, 0.1])
    assert not told.over
    assert len(list(told.texts(60))) == 2
    assert told.over


def test_the_first_output_is_told_once(watch):
    heard: list[str] = []
    console = Console([""], ["", ""], ["a"], ["b"], None)
    told, _ = watch(console, 60, lambda: heard.append(console.partial))
    list(told.texts())
    assert heard == ["a"]


def test_the_newest_line_is_shown_as_it_comes(watch):
    long = "x" * (SHOWN_CHARACTERS + 1)
    told, events = watch(Console(["  one  ", "open"], [long, ""], ["   ", ""], None), 60)
    list(told.texts())
    shown = [event.text for event in events if event.kind == "progress"]
    assert shown == ["one", *[long[:-1]] * 3]


def test_lines_that_come_faster_than_they_can_be_read_are_not_all_shown(watch, monkeypatch):
    console = Console(["a", ""], ["b", ""], ["c", ""], None)
    told, events = watch(console, 60)
    monkeypatch.setattr(session, "POLL_SECONDS", 0.25)
    texts = told.texts()
    while console.said:
        next(texts)
        console.now -= 0.05
    assert 0 < len([event for event in events if event.kind == "progress"]) < 3


def test_what_stays_is_noted_now_and_then(watch):
    looks = int(NOTE_SECONDS / POLL_SECONDS)
    told, events = watch(Console(*[[""]] * looks, ["a line", ""]), 2 * NOTE_SECONDS + 1)
    list(told.texts())
    notes = [event.text.partition(": ")[2] for event in events if event.kind == "note"]
    assert notes == ["nothing on the console yet", "a line"]


def test_what_is_said_at_last_is_taken_beyond_the_deadline(watch):
    console = Console(["a", ""], ["b", ""], None)
    told, _ = watch(console, 0)
    told.drain(1.0)
    assert (console.waits, console.said) == ([1.0], [["b", ""], None])
    told.drain(0)
    assert len(console.said) == 2
    console.read = lambda seconds: Console.read(console, seconds / 4)  # type: ignore[method-assign]
    told.drain(100.0)
    assert (console.said, console.closed) == ([], True)
    assert len(console.waits) == 3


def test_what_is_typed_goes_to_the_console(watch):
    console = Console()
    told, _ = watch(console, 1)
    told.send("root\n")
    assert console.typed == ["root\n"]
