"""QEMU's monitor, with a QEMU that says what the test has it say."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bakery.host.errors import BakeryError
from bakery.host.qmp import EVENT_LIMIT, Monitor, QemuRefused


class Qemu:
    """The other end of a monitor."""

    def __init__(self) -> None:
        self.link, self._end = socket.socketpair()
        self._commands = self._end.makefile("r", encoding="utf-8")
        self.monitor = Monitor(self.link, answer_seconds=30)
        self.say({"QMP": {}}, {"return": {}})
        self.monitor.receive()
        assert self.asked() == ("qmp_capabilities", {})

    def say(self, *messages: object) -> None:
        self._end.sendall(b"".join(json.dumps(each).encode() + b"\r\n" for each in messages))

    def asked(self) -> tuple[str, object]:
        message = json.loads(self._commands.readline())
        return message["execute"], message["arguments"]

    def close(self) -> None:
        self._commands.close()
        self._end.close()


@pytest.fixture
def qemu() -> Iterator[Qemu]:
    made = Qemu()
    yield made
    made.close()
    made.link.close()


def event(name: str, **data: object) -> dict[str, object]:
    return {"event": name, "data": data}


def test_answers_come_in_the_order_of_the_commands_and_events_in_between(qemu):
    qemu.monitor.send("one", {"a": 1})
    qemu.monitor.send("two")
    qemu.say(event("STOP"), {"return": 1}, event("RESUME"), {"return": 2})
    assert qemu.monitor.receive() == [1, 2]
    assert [qemu.asked(), qemu.asked()] == [("one", {"a": 1}), ("two", {})]
    assert qemu.monitor.events() == ["STOP", "RESUME"]


def test_a_refused_command_is_named_and_the_next_answer_is_its_own(qemu):
    qemu.monitor.send("one")
    qemu.monitor.send("two")
    qemu.say({"error": {"desc": "no such node"}}, {"return": 2})
    with pytest.raises(QemuRefused, match="refused one: no such node"):
        qemu.monitor.receive()
    qemu.say({"return": 3})
    assert qemu.monitor.call("three") == 3


def test_an_event_is_waited_for_by_what_it_says(qemu):
    qemu.say(event("JOB", id="a", status="ready"), event("JOB", id="b", status="concluded"))
    qemu.monitor.wait_for("JOB", {"status": "concluded"})
    assert qemu.monitor.events() == ["JOB"]


def test_looking_for_events_waits_for_nothing_and_drops_answers(qemu):
    assert qemu.monitor.events() == []
    qemu.monitor.send("system_reset")
    qemu.say({"return": {}}, event("RESET", guest=False))
    assert qemu.monitor.events() == ["RESET"]
    assert qemu.monitor.events() == []
    qemu.say({"return": "status"})
    assert qemu.monitor.call("query-status") == "status"


def test_a_refusal_that_nobody_waits_for_is_kept_once(qemu):
    qemu.monitor.send("one")
    qemu.monitor.send("two")
    qemu.say({"error": {"desc": "no such node"}}, {"return": {}})
    assert qemu.monitor.refusals() == []
    assert qemu.monitor.events() == []
    (refused,) = qemu.monitor.refusals()
    assert (refused.command, refused.reason) == ("one", "no such node")
    assert qemu.monitor.refusals() == []


def test_half_a_line_is_no_event_yet(qemu):
    whole = json.dumps(event("RESET")).encode() + b"\n"
    qemu._end.sendall(whole[:9])
    assert qemu.monitor.events() == []
    qemu._end.sendall(whole[9:])
    assert qemu.monitor.events() == ["RESET"]


@pytest.mark.parametrize("line", [b"qemu: a warning", b"7", b"[]", b"\xff", b""])
def test_what_is_no_message_is_passed_over(qemu, line):
    qemu._end.sendall(line + b"\n")
    qemu.say(event("RESET"), {"return": "to nothing"})
    assert qemu.monitor.events() == ["RESET"]


def test_events_that_nobody_looks_for_are_not_kept_for_ever(qemu):
    qemu.say(*(event("TICK", number=number) for number in range(EVENT_LIMIT + 50)))
    qemu.say(event("LAST"))
    qemu.monitor.wait_for("LAST", {})
    assert len(qemu.monitor.events()) <= EVENT_LIMIT + 1


def test_a_qemu_that_is_gone_is_told_to_who_waits_and_has_no_events(qemu):
    qemu.monitor.send("quit")
    qemu.close()
    assert qemu.monitor.events() == []
    with pytest.raises(BakeryError, match="ended"):
        qemu.monitor.receive()
    with pytest.raises(BakeryError, match="ended before it took cont"):
        qemu.monitor.send("cont")


def test_a_qemu_that_does_not_answer_is_given_up():
    link, other = socket.socketpair()
    with link, other, pytest.raises(BakeryError, match=r"did not answer within 0\.01 s"):
        Monitor(link, answer_seconds=0.01).receive()


def later(seconds: float, act) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_a_call_returns_what_its_command_did(qemu):
    qemu.say({"return": {"a": 1}})
    assert qemu.monitor.call("query", {"x": 2}) == {"a": 1}
    assert qemu.asked() == ("query", {"x": 2})


def concluded(job: str) -> dict[str, object]:
    return event("JOB_STATUS_CHANGE", id=job, status="concluded")


def test_a_job_is_run_to_its_end_and_dismissed(qemu):
    running = event("JOB_STATUS_CHANGE", id="job", status="running")
    qemu.say({"return": {}}, running, concluded("other"), concluded("job"))
    qemu.say({"return": [{"id": "other", "error": "no"}, {"id": "job"}]}, {"return": {}})
    qemu.monitor.run_job("job", "blockdev-backup", {"device": "d"})
    assert [qemu.asked() for _ in range(3)] == [
        ("blockdev-backup", {"job-id": "job", "device": "d"}),
        ("query-jobs", {}),
        ("job-dismiss", {"id": "job"}),
    ]


def test_a_job_that_failed_is_told_by_its_command(qemu):
    qemu.say({"return": {}}, concluded("job"))
    qemu.say({"return": [{"id": "job", "error": "no space"}]}, {"return": {}})
    with pytest.raises(QemuRefused, match="qemu refused blockdev-backup: no space"):
        qemu.monitor.run_job("job", "blockdev-backup", {})


@pytest.mark.parametrize("jobs", [{}, [1], [{"status": "concluded"}], [{"id": 1}], None])
def test_jobs_that_are_told_of_in_other_words_are_refused(qemu, jobs):
    qemu.say({"return": {}}, concluded("job"))
    qemu.say({"return": jobs}, {"return": {}})
    with pytest.raises(BakeryError, match="makes no sense"):
        qemu.monitor.run_job("job", "blockdev-backup", {})


def test_a_message_of_another_shape_is_passed_over(qemu):
    qemu.say({"error": 5}, {"event": 7}, {"event": "STOP", "data": []}, [1], {"return": 9})
    assert qemu.monitor.call("one") == 9
    assert qemu.monitor.events() == []


def test_a_refusal_without_words_is_one_all_the_same(qemu):
    qemu.say({"error": {"class": "GenericError"}})
    with pytest.raises(QemuRefused) as caught:
        qemu.monitor.call("cont")
    assert (caught.value.reason, caught.value.message) == ("", "qemu refused cont: ")


def test_an_event_that_was_waited_for_is_taken_once_and_without_data_too(qemu):
    qemu.say({"event": "STOP"}, event("STOP", a=1), event("STOP", a=2))
    qemu.monitor.wait_for("STOP", {"a": 2})
    assert qemu.monitor.events() == ["STOP", "STOP"]
    assert qemu.monitor.events() == []


def test_as_many_events_are_kept_as_the_bound_says(qemu):
    qemu.say(*({"event": f"E{number}"} for number in range(EVENT_LIMIT + 1)))
    qemu.say({"return": {}})
    qemu.monitor.call("cont")
    names = qemu.monitor.events()
    assert (names[0], names[-1]) == ("E0", f"E{EVENT_LIMIT}")
    assert len(names) == EVENT_LIMIT + 1


def test_an_answer_that_nobody_asked_for_is_passed_over(qemu):
    qemu.say({"return": {"stray": 1}}, {"return": {"b": 1}})
    qemu.monitor.events()
    qemu.say({"return": {"mine": 1}})
    assert qemu.monitor.call("query") == {"mine": 1}


def test_the_time_to_answer_is_that_of_one_line_in_pieces(qemu):
    qemu.monitor._answer_seconds = 0.3
    began = time.monotonic()
    qemu._end.sendall(b'{"return"')
    timer = later(0.2, lambda: qemu._end.sendall(b": {}"))
    with pytest.raises(BakeryError, match=r"qemu did not answer within 0\.3 s"):
        qemu.monitor.call("cont")
    timer.join()
    assert 0.3 <= time.monotonic() - began < 20


def test_a_qemu_that_does_not_stop_talking_is_given_up(qemu, monkeypatch):
    monkeypatch.setattr("bakery.host.qmp.LINE_LIMIT_BYTES", 10)
    qemu._end.sendall(b"x" * 10)
    timer = later(0.1, lambda: qemu._end.sendall(b"\n" + b'{"return": {}}\n'))
    assert qemu.monitor.call("cont") == {}
    timer.join()
    qemu._end.sendall(b"x" * 11)
    timer = later(0.1, lambda: qemu._end.sendall(b"y"))
    with pytest.raises(BakeryError, match="did not stop talking"):
        qemu.monitor.call("cont")
    timer.join()


def test_what_is_looked_at_is_bounded_too(qemu, monkeypatch):
    monkeypatch.setattr("bakery.host.qmp.LINE_LIMIT_BYTES", 10)
    monkeypatch.setattr("bakery.host.qmp.READ_BYTES", 8)
    qemu._end.sendall(b"x" * 100)
    assert qemu.monitor.events() == []
    assert len(qemu.monitor._buffer) == 16


def test_a_command_to_a_qemu_that_is_gone_is_told(qemu):
    qemu.close()
    with pytest.raises(BakeryError, match="qemu ended before it took cont"):
        for _ in range(1000):
            qemu.monitor.send("cont")
