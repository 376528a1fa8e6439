"""The event stream: what is emitted, and the three ways to show it."""

import io
import json

import pytest

from bakery.host.report import Event, LiveSink, Report, json_sink, line, lines_sink, pace, silent


@pytest.fixture
def events():
    return []


@pytest.fixture
def report(events):
    return Report(events.append)


def kinds(events):
    return [event.kind for event in events]


def test_a_step_starts_and_finishes(report, events):
    with report.step("copy", "the base") as step:
        step.summary("12 bytes")
    assert kinds(events) == ["started", "finished"]
    assert events[0] == Event("started", "copy", "the base", seconds=events[0].seconds)
    assert events[1].text == "12 bytes"
    assert events[1].seconds >= events[0].seconds


def test_a_step_that_raises_has_failed_with_the_reason(report, events):
    with pytest.raises(ValueError, match="disk full"), report.step("copy"):
        raise ValueError("disk full")
    assert kinds(events) == ["started", "failed"]
    assert events[1].text == "disk full"


def test_an_interrupted_step_has_failed(report, events):
    with pytest.raises(KeyboardInterrupt), report.step("copy"):
        raise KeyboardInterrupt
    assert (events[-1].kind, events[-1].text) == ("failed", "KeyboardInterrupt")


def test_progress_is_thinned_but_its_end_always_passes(events, monkeypatch):
    monkeypatch.setattr("bakery.host.report.time.monotonic", lambda: 5000.0)
    with Report(events.append, interval_seconds=1000).step("copy") as step:
        for done in range(101):
            step.progress(done, 100)
    passed = [event.done_bytes for event in events if event.kind == "progress"]
    assert passed == [0, 100]
    assert (events[-1].done_bytes, events[-1].total_bytes) == (100, 100)


def test_notes_belong_to_a_step_or_to_none(report, events):
    report.note("KVM is not usable here")
    with report.step("copy") as step:
        step.note("slow disk")
    assert [(e.step, e.text) for e in events if e.kind == "note"] == [
        ("", "KVM is not usable here"),
        ("copy", "slow disk"),
    ]


def test_a_silent_report_prints_nothing_and_hides_no_error(capsys):
    report = silent()
    report.note("nobody hears this")
    with pytest.raises(ValueError, match="disk full"), report.step("copy") as step:
        step.progress(1, 2)
        raise ValueError("disk full")
    assert (type(report), step.name) == (Report, "copy")
    assert capsys.readouterr() == ("", "")


def test_json_lines_hold_whole_events():
    stream = io.StringIO()
    sink = json_sink(stream)
    sink(Event("progress", "copy", "zwölf\nBytes", 12, 24, 1.5))
    sink(Event("finished", "copy"))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "kind": "progress",
        "step": "copy",
        "text": "zwölf\nBytes",
        "done_bytes": 12,
        "total_bytes": 24,
        "seconds": 1.5,
    }
    assert second["kind"] == "finished"


def test_plain_lines_leave_progress_out():
    stream = io.StringIO()
    sink = lines_sink(stream)
    for kind in ("started", "progress", "note", "finished", "failed"):
        sink(Event(kind, "copy", kind, seconds=1.25))
    assert stream.getvalue().splitlines() == [
        "copy: … started",
        "copy: note",
        "copy: done finished (1.2 s)",
        "copy: FAILED failed (1.2 s)",
    ]


def test_quiet_lines_keep_failures_alone():
    stream = io.StringIO()
    sink = lines_sink(stream, quiet=True)
    for kind in ("started", "progress", "note", "finished", "failed"):
        sink(Event(kind, "copy", kind))
    assert stream.getvalue() == "copy: FAILED failed (0.0 s)\n"


def test_a_line_without_step_is_its_text():
    assert line(Event("note", "", "KVM is not usable here")) == "KVM is not usable here"


def test_what_a_server_says_stays_on_its_line():
    told = line(Event("note", "", "a\nb\x1b[31m\u202e"))
    assert told == r"a\nb\x1b[31m\u202e"


def test_a_terminal_keeps_a_line_for_each_end_and_each_note():
    stream = io.StringIO()
    sink = LiveSink(stream)
    report = Report(sink)
    with report.step("copy", "the base") as step:
        step.progress(5, 10)
        step.note("slow disk")
        step.summary("10 bytes")
    with pytest.raises(ValueError, match="broken"), report.step("hash"):
        raise ValueError("broken")
    sink.close()
    shown = stream.getvalue()
    assert "slow disk" in shown
    assert "✓ copy" in shown
    assert "10 bytes" in shown
    assert "✗ hash" in shown


def test_markup_in_a_name_is_shown_as_it_is():
    stream = io.StringIO()
    sink = LiveSink(stream)
    sink(Event("started", "[red]copy", "[bold]x"))
    sink(Event("finished", "[red]copy", "[bold]x[/bold] [/nonsense]"))
    sink.close()
    assert "[bold]x[/bold] [/nonsense]" in stream.getvalue()


def test_progress_of_a_step_that_never_started_is_no_error():
    sink = LiveSink(io.StringIO())
    sink(Event("progress", "copy", done_bytes=1, total_bytes=2))
    sink(Event("finished", "copy"))
    sink.close()


def test_the_pace_tells_what_is_left_while_something_is():
    assert pace(0, 100, 0.0) == ""
    assert pace(50_000_000, 150_000_000, 5.0) == "10 MB/s, 10 s left"
    assert pace(50_000_000, 50_000_000, 5.0) == "10 MB/s"


def test_an_event_has_the_seconds_since_its_step_began_in_milliseconds(report, events, monkeypatch):
    clock = iter([100.0, 100.0, 101.2345678, 103.0])
    monkeypatch.setattr("bakery.host.report.time.monotonic", lambda: next(clock))
    with report.step("copy", "the base") as step:
        step.note("x")
        step.summary("all of it")
    assert [(event.kind, event.text, event.seconds) for event in events] == [
        ("started", "the base", 0.0),
        ("note", "x", 1.235),
        ("finished", "all of it", 3.0),
    ]


def test_progress_passes_once_an_interval_with_the_last_numbers(events, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("bakery.host.report.time.monotonic", lambda: now[0])
    with Report(events.append, 0.5).step("copy") as step:
        for later, done in ((0.0, 1), (0.4, 2), (0.1, 3), (0.49, 4)):
            now[0] = round(now[0] + later, 6)
            step.progress(done, 10, f"{done}")
        step.note("here")
        step.progress(10, 10)
    assert [(event.kind, event.done_bytes, event.total_bytes, event.text) for event in events] == [
        ("started", 0, 0, ""),
        ("progress", 1, 10, "1"),
        ("progress", 3, 10, "3"),
        ("note", 4, 10, "here"),
        ("progress", 10, 10, ""),
        ("finished", 10, 10, ""),
    ]


def test_what_another_process_told_is_passed_on(report, events):
    event = Event("progress", "node-1", "x", 1, 2, 3.0)
    report.relay(event)
    assert events == [event]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("started", "copy", "the base"), "copy: … the base"),
        (Event("finished", "copy", "10 bytes", seconds=1.25), "copy: done 10 bytes (1.2 s)"),
        (Event("finished", "copy"), "copy: done (0.0 s)"),
        (Event("failed", "copy", "no", seconds=2), "copy: FAILED no (2.0 s)"),
        (Event("note", "copy", "slow", seconds=9), "copy: slow"),
        (Event("started", "copy"), "copy: …"),
    ],
)
def test_each_event_is_a_line(event, text):
    assert line(event) == text
    stream = Flushed()
    lines_sink(stream)(event)
    assert stream.getvalue() == text + "\n" and stream.flushes == 1


class Flushed(io.StringIO):
    flushes = 0

    def flush(self):
        self.flushes += 1


def test_every_json_line_is_on_its_way_at_once():
    stream = Flushed()
    sink = json_sink(stream)
    for number in (1, 2):
        sink(Event("note", "ä", "x"))
        assert stream.flushes == number
    assert '"step": "ä"' in stream.getvalue()


@pytest.mark.parametrize(
    ("done", "seconds", "told"),
    [(0, 1.0, ""), (1, 0.0, ""), (-1, 1.0, ""), (2_000_000, 1.0, "2 MB/s, 2 s left")],
)
def test_a_pace_needs_something_done_in_some_time(done, seconds, told):
    assert pace(done, 6_000_000, seconds) == told


@pytest.fixture
def live():
    sink = LiveSink(io.StringIO())
    yield sink
    sink.close()


def test_a_running_step_has_a_line_that_follows_its_progress(live):
    live(Event("started", "copy", "the base\n"))
    (task,) = live._progress.tasks
    assert (task.description, task.fields["step"], task.total) == ("the base\\n", "copy", None)
    live(Event("progress", "copy", "2 MB/s", 5, 10))
    assert (task.completed, task.total, task.description) == (5, 10, "2 MB/s")
    live(Event("progress", "copy", "", 6, 0))
    assert (task.completed, task.total, task.description) == (6, 10, "2 MB/s")
    live(Event("note", "copy", "slow"))
    assert live._progress.tasks == [task]
    live(Event("finished", "copy"))
    assert live._progress.tasks == [] and live._tasks == {}


@pytest.mark.parametrize("kind", ["finished", "failed"])
def test_the_line_of_a_step_goes_with_its_end_and_the_others_stay(live, kind):
    live(Event("started", "copy"))
    live(Event("started", "hash"))
    live(Event(kind, "copy"))
    assert [task.fields["step"] for task in live._progress.tasks] == ["hash"]


def test_the_terminal_is_somebody_elses_for_the_length_of_a_block(live):
    assert live._progress.live.is_started
    with pytest.raises(KeyError), live.away():
        assert not live._progress.live.is_started
        raise KeyError
    assert live._progress.live.is_started
    live.close()
    assert not live._progress.live.is_started


def test_lasting_lines_have_mark_step_text_and_the_time_of_an_end():
    stream = io.StringIO()
    sink = LiveSink(stream)
    for event in (
        Event("note", "copy", "slow", seconds=1),
        Event("note", "", "alone"),
        Event("finished", "copy", "10 bytes", seconds=1.5),
        Event("failed", "hash", "no", seconds=2),
    ):
        sink(event)
    sink.close()
    lines = [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]
    assert lines == [
        "· copy      slow",
        "· alone",
        "✓ copy      10 bytes  1.5 s",
        "✗ hash      no  2.0 s",
    ]
