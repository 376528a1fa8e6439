"""What a node may call the conductor for, and when; and what is kept of it, in which order."""

import threading
import time
from uuid import uuid4

import pytest

from bakery.conductor.journal import (
    VISIT_LIMIT,
    AgentInfo,
    Deployment,
    Journal,
    Machine,
    Record,
    Visit,
)
from bakery.conductor.node_calls import NodeCalls
from bakery.conductor.peer import SPENT, Peer
from bakery.conductor.wanted import Wanted
from bakery.netboot.tree import Asker
from tests.conductor.targets import until

PUBLIC = bytes(32)
MACHINE = Machine(disk_bytes=512)
AGENT, OTHER = AgentInfo("192.0.2.7", "iqn.a:b"), AgentInfo("192.0.2.8", "iqn.a:b")
BEFORE = ("power-on", "ramdisk", "writing", "verifying")
AFTER = ("switched", "rebooted")
REST = ("enroll", "boot-config", "running", "failed")


class Pull:
    """A node that writes its disk itself, as far as it is told."""

    def __init__(self):
        self.told = []

    def write_list(self, deployment, disk_bytes, public):
        self.told.append(("list", deployment.key, disk_bytes, public))
        return b"list"

    def progress(self, *news):
        self.told.append(news)

    def written(self):
        self.told.append("written")


@pytest.fixture
def at(tmp_path):
    """A node in a state: `at("writing", agent=AGENT, pull=…)`."""

    def make(state, *, agent=None, pull=None, visits=()):
        record = Record(
            node=uuid4(),
            name="node-1",
            wanted=Wanted(build="k", name="n"),
            state=state,
            deployment=Deployment.fresh(),
            agent=agent,
            visits=visits,
        )
        peer = Peer(lambda asked: asked == AGENT.address)
        return NodeCalls(record, Journal(tmp_path, record.node), peer, pull)

    return make


@pytest.mark.parametrize("state", ["power-on", "ramdisk"])
def test_a_ramdisk_that_is_waited_for_is_kept_before_it_is_told(at, tmp_path, state):
    calls = at(state)
    assert calls.ramdisk_up(AGENT) is True
    assert calls.record.agent == AGENT
    kept = Journal(tmp_path, calls.record.node).read()
    assert kept and kept.agent == AGENT


@pytest.mark.parametrize("state", BEFORE)
def test_the_same_ramdisk_is_told_the_same_again_and_another_is_not(at, state):
    calls = at(state, agent=AGENT)
    assert (calls.ramdisk_up(AGENT), calls.ramdisk_up(OTHER)) == (True, False)
    assert calls.record.agent == AGENT and calls.strayed is False


@pytest.mark.parametrize("state", ["writing", "verifying", *AFTER, *REST])
def test_a_ramdisk_that_nobody_waits_for_is_sent_away(at, state):
    calls = at(state)
    assert calls.ramdisk_up(AGENT) is False
    assert calls.record.agent is None
    assert calls.strayed == (state in AFTER)


def test_once_strayed_it_stays_so_until_it_is_started_afresh(at):
    calls = at("switched", agent=AGENT)
    assert calls.ramdisk_up(AGENT) is False
    calls.enter("running")
    calls.ramdisk_up(AGENT)
    calls.error = "broken"
    assert calls.strayed is True
    calls.forget()
    assert (calls.strayed, calls.error) == (False, "")


@pytest.mark.parametrize("state", [*BEFORE, *AFTER, *REST])
def test_a_ramdisk_may_fail_as_long_as_it_is_at_work(at, state):
    calls = at(state)
    assert calls.ramdisk_failed("broken") == (state in ("power-on", "ramdisk"))
    assert calls.error == ("broken" if state in ("power-on", "ramdisk") else "")
    calls = at(state, pull=Pull())
    assert calls.ramdisk_failed("broken") == (state in BEFORE)


@pytest.mark.parametrize("state", [*BEFORE, *AFTER, *REST])
def test_progress_is_taken_of_a_node_that_writes_itself(at, state):
    pull = Pull()
    assert at(state, pull=pull).progress("writing", 1, 2) is False  # it has not reported
    assert at(state, agent=AGENT, pull=pull).progress("writing", 1, 2) == (state in BEFORE)
    assert pull.told == ([("writing", 1, 2)] if state in BEFORE else [])
    assert at(state, agent=AGENT).progress("writing", 1, 2) is False


def test_a_write_list_is_for_the_ramdisk_that_is_waited_for(at):
    pull = Pull()
    calls = at("ramdisk", pull=pull)
    assert calls.write_list(AGENT, MACHINE, PUBLIC) == b"list"
    assert pull.told == [("list", calls.record.deployment.key, 512, PUBLIC)]
    assert calls.write_list(AGENT, MACHINE, PUBLIC) == b"list"  # it restarted
    assert calls.write_list(OTHER, MACHINE, PUBLIC) is None
    assert at("switched", pull=pull).write_list(AGENT, MACHINE, PUBLIC) is None
    assert at("ramdisk").write_list(AGENT, MACHINE, PUBLIC) is None


def test_only_a_node_that_was_to_write_has_written(at):
    pull = Pull()
    assert at("writing", pull=pull).written() is False
    assert pull.told == []
    assert at("writing", agent=AGENT, pull=pull).written() is True
    assert at("switched", agent=AGENT, pull=pull).written() is True
    assert at("writing", agent=AGENT).written() is False
    assert at("failed", agent=AGENT, pull=pull).written() is False
    assert pull.told == ["written"]


def test_a_boot_loader_is_never_asked_for(at):
    assert at("ramdisk").bootloader("") is False


def test_a_node_that_fetches_what_it_boots_is_not_awaited_and_gets_no_secret_again(at):
    calls = at("switched", agent=AGENT)
    calls.awaited = True
    calls.fetches()
    assert calls.awaited is False
    assert calls.peer.text(Asker(AGENT.address)) == SPENT


def test_a_node_that_asks_for_an_address_is_not_awaited(at):
    calls = at("switched")
    calls.awaited = True
    calls.boots()
    assert calls.awaited is False


def waits(calls, seconds=20.0):
    """A thread that waits, and has begun to."""
    thread = threading.Thread(target=calls.wait, args=(seconds,))
    thread.start()
    until(lambda: len(calls._news._waiters) == 1)  # as threading.Condition counts them
    return thread


@pytest.mark.parametrize(
    "news",
    [
        lambda calls: calls.ramdisk_up(AGENT),
        lambda calls: calls.ramdisk_failed("broken"),
        lambda calls: calls.wake(),
        lambda calls: calls.enter("failed"),
    ],
)
def test_whoever_waits_goes_on_at_once_when_there_is_news(at, news):
    calls = at("ramdisk")
    thread = waits(calls)
    assert thread.is_alive()
    news(calls)
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_known_already_is_not_waited_for(at):
    began = time.monotonic()
    at("ramdisk", agent=AGENT).wait(20)
    failed = at("ramdisk")
    failed.error = "broken"
    failed.wait(20)
    assert time.monotonic() - began < 10
    began = time.monotonic()
    at("ramdisk").wait(0.1)
    assert time.monotonic() - began >= 0.1


def test_a_state_is_visited_at_a_time_and_only_the_last_visits_are_kept(at, tmp_path):
    calls = at("enroll", visits=tuple(Visit("enroll", float(n)) for n in range(VISIT_LIMIT)))
    before = time.time()
    calls.enter("failed", reason="why", agent=OTHER)
    record = calls.record
    assert (record.state, record.reason, record.agent) == ("failed", "why", OTHER)
    assert len(record.visits) == VISIT_LIMIT
    assert record.visits[0].at == 1.0
    assert before <= record.visits[-1].at <= time.time() and record.visits[-1].state == "failed"
    assert Journal(tmp_path, record.node).read() == record


def test_what_cannot_be_kept_has_not_happened(at, monkeypatch):
    calls = at("ramdisk")

    def full(_record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calls._journal, "write", full)
    with pytest.raises(OSError, match="No space"):
        calls.ramdisk_up(AGENT)
    assert calls.record.agent is None
