"""The event stream: what is emitted, and the three ways to show it."""

import io
import json

import pytest

from bakery import report as reporting
from bakery.report import Event, LiveSink, Report, json_sink, line, lines_sink, pace, silent


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


def test_progress_is_thinned_but_its_end_always_passes(report, events, monkeypatch):
    monkeypatch.setattr(reporting, "PROGRESS_INTERVAL_SECONDS", 1000.0)
    monkeypatch.setattr("bakery.report.time.monotonic", lambda: 5000.0)
    with report.step("copy") as step:
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


def test_a_silent_report_takes_everything():
    report = silent()
    report.note("nobody hears this")
    with report.step("copy") as step:
        step.progress(1, 2)


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
    assert told == "a\ufffdb\ufffd[31m\ufffd"


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
