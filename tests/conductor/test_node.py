"""A node's way: where it ends, what it is offered, and what a killed conductor's successor does."""

import threading
import time
from typing import Any

import pytest

from bakery.bmc.bmc import Identity, NotOffered
from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.expected import Expected
from bakery.conductor.journal import AgentInfo, Deployment, Journal, Machine, Record
from bakery.conductor.means import Bounds, Means, Sign
from bakery.conductor.node import Halted, NodeDeploy
from bakery.conductor.peer import Peer
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.node.agent import proof
from tests.conductor import world as worlds
from tests.conductor.script import Script
from tests.conductor.targets import until
from tests.conductor.world import AGENT, NODE, WANTED, World, deploy_in, run

STATES = (
    *("enroll", "boot-config", "power-on", "ramdisk"),
    *("writing", "verifying", "switched", "rebooted", "running"),
)

TWICE = Bounds(2, 30, 30, 30, 0)


def states(record):
    return [visit.state for visit in record.visits]


def test_a_node_goes_through_every_state_to_its_own_system(tmp_path):
    world, deploy = deploy_in(tmp_path)
    record = run(world, deploy)
    assert states(record) == list(STATES)
    assert world.facts.offer == "system"
    assert world.facts.starts == 1
    assert world.facts.wrong == []


def test_a_whole_disk_is_booted_from_the_disk(tmp_path):
    world, deploy = deploy_in(tmp_path, local=True)
    booted = []
    told = world.boot_from

    def boot_from(device, *, persistent=False):
        booted.append((device, persistent))
        told(device)

    world.boot_from = boot_from
    assert run(world, deploy).state == "running"
    assert booted == [("network", False), ("disk", True)]


def test_where_a_bmc_sets_the_next_start_alone_the_disk_is_set_for_that(tmp_path):
    world, deploy = deploy_in(tmp_path, local=True)
    booted = []
    told = world.boot_from

    def boot_from(device, *, persistent=False):
        booted.append((device, persistent))
        if persistent:
            raise NotOffered("this BMC sets the next start alone")
        told(device)

    world.boot_from = boot_from
    record = run(world, deploy)
    assert (record.state, record.attempt, world.facts.starts) == ("running", 1, 1)
    assert booted == [("network", False), ("disk", True), ("disk", False)]


@pytest.mark.parametrize("step", ["power", "report", "write", "read-back", "release", "login"])
def test_what_goes_wrong_twice_is_tried_a_third_time(tmp_path, step):
    world, deploy = deploy_in(tmp_path, {step: 2})
    assert run(world, deploy).state == "running"
    assert world.facts.wrong == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("power", "the BMC refused"),
        ("report", "did not report within 0.5 s"),
        ("write", "connection to the disk was lost"),
        ("read-back", "gave back other bytes"),
    ],
)
def test_what_goes_wrong_every_time_ends_in_a_reason_and_nothing_to_boot(tmp_path, step, reason):
    world, deploy = deploy_in(tmp_path, {step: 99})
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("failed", 3)
    assert reason in record.reason
    assert (world.facts.offer, world.facts.power) == ("nothing", "off")
    assert world.facts.wrong == []


def test_what_no_other_try_can_mend_is_not_tried_again(tmp_path):
    world, deploy = deploy_in(tmp_path, {"image": 1})
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("failed", 1)
    assert "too small" in record.reason


def test_an_error_that_somebody_reports_costs_a_try_and_not_the_deploy(tmp_path):
    world, deploy = deploy_in(tmp_path, {"ramdisk": 2})
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("running", 3)
    assert "several disks match" in record.reason


def test_what_nobody_expected_ends_as_the_failure_of_its_node(tmp_path):
    world, deploy = deploy_in(tmp_path)

    def boot_from(device, *, persistent=False):
        raise ZeroDivisionError("a\x1b[31m defect")

    world.boot_from = boot_from
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("failed", 3)
    assert "an unexpected ZeroDivisionError: a\\x1b[31m defect" in record.reason


def test_a_second_agent_changes_nothing_and_neither_does_one_that_comes_too_late(tmp_path):
    world, deploy = deploy_in(tmp_path)
    assert run(world, deploy).state == "running"
    before = deploy.record
    assert not deploy.calls.ramdisk_up(AGENT)
    assert not deploy.calls.ramdisk_failed("disk on fire")
    assert not deploy.calls.written()
    assert not deploy.calls.progress("writing", 1, 2)
    assert deploy.record == before


def test_port_10000_that_is_never_opened_is_answered_by_the_power_switch(tmp_path):
    world, deploy = deploy_in(tmp_path, {"release": 99})
    assert run(world, deploy).state == "running"
    assert world.facts.starts == 2
    assert world.facts.writes == 1


def test_a_node_that_hangs_in_its_restart_is_started_by_its_bmc(tmp_path):
    world, deploy = deploy_in(tmp_path, {"restart": 1}, bounds=Bounds(1, 30, 30, 0.2))
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("running", 1)
    assert (world.facts.starts, world.facts.writes) == (2, 1)


def test_a_node_whose_firmware_asked_for_an_address_is_not_disturbed(tmp_path):
    world, deploy = deploy_in(tmp_path, {"restart": 1}, bounds=Bounds(1, 30, 1, 0.2))

    def up(mark, seconds):
        deploy.calls.boots()
        return

    world.up = up
    record = run(world, deploy)
    assert record.state == "failed"
    assert "did not come up within 1 s" in record.reason
    assert world.facts.starts == 1


def test_a_system_that_never_comes_up_is_not_written_again(tmp_path):
    world, deploy = deploy_in(tmp_path, {"login": 99})
    record = run(world, deploy)
    assert record.state == "failed"
    assert "kernel panic" in record.reason
    assert world.facts.writes == 1


def test_a_node_that_boots_the_ramdisk_again_and_again_ends_with_that_reason(tmp_path):
    world, deploy = deploy_in(tmp_path, bounds=Bounds(2, 30, 30, next_attempt_seconds=0.002))

    def up(mark, seconds):
        deploy.calls.ramdisk_up(AGENT)
        return

    world.up = up
    record = run(world, deploy)
    assert record.state == "failed"
    assert "boots the deploy ramdisk again" in record.reason


def test_the_same_report_twice_is_taken_and_another_is_not(tmp_path):
    world, deploy = deploy_in(tmp_path)
    answers = []
    written = world.write

    def write(agent, deployment, tell):
        answers.append(deploy.calls.ramdisk_up(AGENT))
        answers.append(deploy.calls.ramdisk_up(AgentInfo("192.0.2.8", AGENT.iqn)))
        written(agent, deployment, tell)

    object.__setattr__(deploy._means, "write", write)
    assert run(world, deploy).state == "running"
    assert answers == [True, False]


def test_each_try_before_the_switch_has_secrets_of_its_own(tmp_path):
    world, deploy = deploy_in(tmp_path, {"write": 1})
    first = deploy.record.deployment
    assert run(world, deploy).state == "running"
    assert deploy.record.deployment.key != first.key
    assert deploy.record.deployment.token != first.token


@pytest.fixture
def at(tmp_path):
    """A deploy that resumes in a state, its script, and what it told."""

    def make(state, *, agent=AGENT, local=False, bounds=TWICE, **faults):
        script = Script(**faults)
        told: list[Event] = []
        journal = Journal(tmp_path / "journal", worlds.NODE)
        record = Record(
            node=worlds.NODE,
            name="node-1",
            wanted=WANTED,
            state=state,
            deployment=Deployment.fresh(),
            agent=agent,
            mark=7,
        )
        journal.write(record)
        peer = Peer(lambda asked: asked == AGENT.address)
        means = Means(script, script, script.write, script.release, script, peer, local)
        report = Report(told.append)
        made = NodeDeploy("node-1", worlds.NODE, WANTED, means, journal, report, bounds)
        return made, script, told

    return make


def said(told, kind):
    return [(event.step, event.text) for event in told if event.kind == kind]


def test_each_step_is_told_in_its_order_with_what_came_of_it(at):
    deploy, script, told = at("power-on", agent=None)

    def power_on():
        script.is_on = True
        deploy.calls.ramdisk_up(AGENT)

    script.power_on = power_on
    assert deploy.run().state == "running"
    steps = [
        *("node-1 power-on", "node-1 ramdisk", "node-1 writing"),
        *("node-1 verifying", "node-1 switched", "node-1 rebooted"),
    ]
    assert [step for step, _ in said(told, "started")] == steps
    assert dict(said(told, "started"))["node-1 ramdisk"] == "waits for the deploy ramdisk"
    ends = dict(said(told, "finished"))
    assert list(ends) == steps
    assert ends["node-1 ramdisk"] == f"disk {AGENT.iqn} at {AGENT.address}"
    assert ends["node-1 writing"].startswith("0 MB") and ends["node-1 rebooted"] == "login"
    assert said(told, "note")[0] == ("node-1", "resumes at 'power-on' (attempt 1)")
    assert states(deploy.record)[-4:] == ["verifying", "switched", "rebooted", "running"]


def test_a_deploy_that_begins_says_nothing_of_resuming(tmp_path):
    told: list[Event] = []
    script: Any = Script()
    journal = Journal(tmp_path, worlds.NODE)
    means = Means(script, script, script.write, script.release, script, Peer(lambda _: False))
    NodeDeploy("node-1", worlds.NODE, WANTED, means, journal, Report(told.append), Bounds())
    assert told == []
    record = journal.read()
    assert record and (record.state, states(record)) == ("enroll", ["enroll"])


@pytest.mark.parametrize(
    ("state", "first"),
    [
        ("boot-config", ("ramdisk",)),
        ("power-on", ("ramdisk",)),
        ("verifying", ("ramdisk",)),
        ("switched", ("system",)),
        ("rebooted", ("system",)),
    ],
)
def test_what_was_offered_before_is_offered_again_first(at, state, first):
    deploy, script, _ = at(state)
    deploy.run()
    assert script.asked[0][: len(first)] == first


@pytest.mark.parametrize("is_on", [True, False])
def test_a_node_is_started_afresh_whatever_it_does(at, is_on):
    deploy, script, _ = at("power-on")
    script.is_on = is_on
    deploy.run()
    begun = [words for words in script.asked if words[0] in ("on", "off", "boot")]
    assert begun[: 2 + is_on] == [
        *([("off",)] if is_on else []),
        ("boot", "network", False),
        ("on",),
    ]


def test_a_node_that_is_off_while_its_ramdisk_is_waited_for_is_started(at):
    deploy, script, told = at("ramdisk", agent=None)
    script.power_on = lambda: script.note("on") or deploy.calls.ramdisk_up(AGENT)
    assert deploy.run().state == "running"
    assert ("on",) in script.asked
    assert ("node-1 ramdisk", "the node is off: starting it") in said(told, "note")


@pytest.mark.parametrize(("agent", "is_on"), [(AGENT, False), (None, True)])
def test_one_that_has_reported_or_is_on_is_left_to_it(at, agent, is_on):
    deploy, script, told = at("ramdisk", agent=agent)
    script.is_on = is_on
    waited = []

    def wait(seconds):
        waited.append(seconds)
        deploy.calls.ramdisk_up(AGENT)

    deploy.calls.wait = wait
    deploy.run()
    assert "the node is off: starting it" not in dict(said(told, "note")).values()
    assert waited == ([] if agent else [0.5])


def test_the_ramdisk_is_waited_for_as_long_as_the_bound_says(at):
    deploy, script, _ = at("ramdisk", agent=None, bounds=Bounds(1, 0.2, 30))
    script.is_on = True
    waited, wait = [], deploy.calls.wait

    def noted(seconds):
        waited.append(seconds)
        wait(seconds)

    deploy.calls.wait = noted
    record = deploy.run()
    assert record.reason == (
        "the deploy ramdisk did not report within 0.2 s "
        "(see the node's console; does its firmware boot over this network?)"
    )
    assert 1 <= len(waited) < 10 and all(0 < seconds <= 0.2 for seconds in waited)


def test_a_write_without_a_ramdisk_begins_at_the_boot_configuration(at):
    deploy, script, _ = at("writing", agent=None)
    script.power_on = lambda: deploy.calls.ramdisk_up(AGENT)
    deploy.run()
    assert states(deploy.record)[:2] == ["boot-config", "power-on"]


def test_a_ramdisk_that_gives_up_while_it_writes_ends_the_deploy(at):
    deploy, script, _ = at("writing", bounds=Bounds(1))

    def writes(tell):
        deploy.calls.error = "no disk"
        tell("writing", 0, 1)

    script.writes = writes
    record = deploy.run()
    assert (record.state, record.reason) == ("failed", "the deploy ramdisk gave up: no disk")


@pytest.mark.parametrize("state", ["writing", "rebooted"])
def test_a_halt_is_heard_in_the_middle_of_what_takes_long(at, state):
    deploy, script, _ = at(state)
    script.seen = iter(lambda: deploy.halt() or "", None)
    script.writes = lambda tell: deploy.halt() or tell("writing", 0, 1)
    with pytest.raises(Halted) as caught:
        deploy.run()
    assert caught.value.hint == "run the same command to continue"
    assert deploy.record.state == state


def test_a_halt_is_heard_between_two_attempts(at):
    errors = [BakeryError("no")] * 2
    deploy, _, _ = at("power-on", bounds=Bounds(2, 30, 30, 30, 1000), on=errors)
    threading.Timer(0.1, deploy.halt).start()
    with pytest.raises(Halted):
        deploy.run()
    assert (deploy.record.attempt, len(errors)) == (1, 1)


def test_the_next_attempt_is_noted_and_begins_with_new_secrets_and_no_ramdisk(at):
    deploy, script, told = at("writing", write=[DiskFailed("it broke")])
    key = deploy.record.deployment.key
    script.power_on = lambda: deploy.calls.ramdisk_up(AGENT)
    deploy.calls.strayed = True
    record = deploy.run()
    assert ("node-1", "attempt 2 of 2: it broke") in said(told, "note")
    assert (record.state, record.attempt, record.reason) == ("running", 2, "it broke")
    assert record.deployment.key != key and deploy.calls.strayed is False
    assert [words[0] for words in script.asked].count("write") == 2


def test_after_the_switch_the_next_attempt_keeps_the_disk_and_its_secrets(at):
    deploy, script, _ = at("rebooted", up=[BakeryError("panic")])
    key = deploy.record.deployment.key
    record = deploy.run()
    assert (record.state, record.attempt, record.deployment.key) == ("running", 2, key)
    assert not any(words[0] in ("write", "ramdisk", "release") for words in script.asked)
    assert [words for words in script.asked if words[0] in ("on", "boot")][-1] == ("on",)


@pytest.mark.parametrize(("state", "off"), [("power-on", True), ("rebooted", False)])
def test_a_node_that_is_given_up_is_offered_nothing_and_told_why(at, state, off):
    error = BakeryError("it broke", "mend it")
    deploy, script, told = at(state, bounds=Bounds(1), on=[error], up=[error])
    record = deploy.run()
    assert (record.state, record.reason) == ("failed", "it broke (mend it)")
    assert script.asked[-1 - off][0] == "nothing"
    assert (script.asked[-1] == ("off",)) == off
    assert told[-1].text == "failed: it broke (mend it)"


def test_a_bmc_that_is_gone_keeps_nobody_from_giving_up(at):
    deploy, _, _ = at("power-on", bounds=Bounds(1), on=[BakeryError("no")], off=[BakeryError("x")])
    record = deploy.run()
    assert (record.state, record.reason) == ("failed", "no")


@pytest.mark.parametrize(("local", "device"), [(False, "network"), (True, "disk")])
def test_the_system_is_offered_before_the_ramdisk_is_let_go(at, local, device):
    deploy, script, _ = at("switched", local=local)
    deploy.run()
    assert [words[:2] for words in script.asked[1:]] == [
        *(("system",), ("boot", device), ("release", AGENT.address)),
        *(("up", 7), ("up", 7)),
    ]
    assert script.asked[2] == ("boot", device, local)
    assert script.asked[3][2] == proof.word(deploy.record.deployment.key)
    assert script.asked[-1] == ("up", 7, 0.5)


@pytest.mark.parametrize("agent", [AGENT, None])
def test_a_ramdisk_that_cannot_be_let_go_is_started_afresh(at, agent):
    deploy, script, told = at("switched", agent=agent, release=[BakeryError("it is deaf")])
    script.is_on = True
    assert deploy.run().state == "running"
    why = "it is deaf" if agent else "the ramdisk is gone"
    note = f"{why}: restarting the node through its BMC"
    assert ("node-1 switched", note) in said(told, "note")
    assert [words[0] for words in script.asked if words[0] in ("on", "off")] == ["off", "on"]
    assert deploy.calls.awaited is False


@pytest.mark.parametrize(
    ("awaited", "local", "seconds", "restarts"),
    [(True, False, 0, 1), (True, False, 30, 0), (False, False, 0, 0), (True, True, 0, 0)],
)
def test_a_node_hangs_that_was_let_go_and_asks_for_nothing(at, awaited, local, seconds, restarts):
    deploy, script, told = at("rebooted", local=local, bounds=Bounds(1, 30, 30, seconds))
    deploy.calls.awaited = awaited
    script.seen = iter([None, None, Sign("login", "login")])
    assert deploy.run().state == "running"
    assert [words[0] for words in script.asked].count("on") == restarts
    text = "the node hangs in its restart: restarting it through its BMC"
    assert [note for _, note in said(told, "note")].count(text) == restarts


def test_a_system_that_does_not_come_up_is_told_with_its_bound(at):
    deploy, script, _ = at("rebooted", bounds=Bounds(1, 30, 0.05))

    def nothing():
        time.sleep(0.01)
        return ""

    script.seen = iter(nothing, None)
    assert "did not come up within 0.05 s (see the node's console" in deploy.run().reason


def test_another_machine_is_refused_before_a_write_and_left_on(tmp_path, monkeypatch):
    world = World(tmp_path / "world.json")
    expected = Expected(frozenset({"52:54:00:00:00:01"}))
    means = world.means(machine=expected)
    journal = Journal(tmp_path / "journal", NODE)
    deploy = NodeDeploy("r1", NODE, WANTED, means, journal, silent(), worlds.BOUNDS)
    booted = threading.Event()
    monkeypatch.setattr(world, "start", booted.set)
    thread = threading.Thread(target=deploy.run, daemon=True)
    thread.start()
    assert booted.wait(60)
    until(lambda: deploy.record.state == "ramdisk")
    assert not deploy.calls.ramdisk_up(AGENT, Machine(("52:54:00:00:00:02",)))
    thread.join(60)
    record = deploy.record
    assert (record.state, record.attempt, record.agent) == ("failed", 1, None)
    assert "no network card 52:54:00:00:00:01" in record.reason
    assert "nothing was written" in record.reason
    assert (world.facts.writes, world.facts.power) == (0, "on")


@pytest.mark.parametrize(("serial", "starts"), [("S1", 1), (None, 1), ("S2", 0)])
def test_a_bmc_of_another_machine_is_refused_before_it_is_switched(tmp_path, serial, starts):
    world = World(tmp_path / "world.json")
    world.serial = serial
    means = world.means(machine=Expected(serial="S1"))
    journal = Journal(tmp_path / "journal", NODE)
    deploy = NodeDeploy("r1", NODE, WANTED, means, journal, silent(), worlds.BOUNDS)
    record = run(world, deploy)
    assert (record.state, world.facts.starts) == ("running" if starts else "failed", starts)
    assert ("serial number S2, not S1" in record.reason) == (not starts)


def orders_of(tmp_path, identity, expected):
    """How a deploy ended whose BMC says that of itself, and what it was told to do."""
    world: Any = World(tmp_path / "world.json")
    told = []
    world.identity = identity
    world.power = lambda: "on"
    world.power_off = lambda: told.append("off")
    world.power_on = lambda: told.append("on")
    means = world.means(machine=expected)
    journal = Journal(tmp_path / "journal", NODE)
    deploy = NodeDeploy("r1", NODE, WANTED, means, journal, silent(), worlds.BOUNDS)
    return run(world, deploy), told


def test_a_bmc_that_tells_a_card_of_another_node_has_nothing_switched(tmp_path):
    expected = Expected(others={"52:54:00:00:00:02": "r2"})
    record, told = orders_of(tmp_path, lambda: Identity(None, ("52:54:00:00:00:02",)), expected)
    assert (record.state, record.attempt, told) == ("failed", 1, [])
    assert "the card 52:54:00:00:00:02 of r2" in record.reason


def test_a_machine_that_could_not_be_told_is_not_switched_off_when_it_is_given_up(tmp_path):
    def identity():
        raise BakeryError("its answer makes no sense")

    record, told = orders_of(tmp_path, identity, Expected(serial="S1"))
    assert (record.state, told) == ("failed", [])


def test_the_sign_is_kept_and_silence_that_may_be_none_is_no_reason_to_restart(tmp_path):
    world, deploy = deploy_in(tmp_path / "seen")
    assert run(world, deploy).sign == "login"
    world, deploy = deploy_in(tmp_path / "silent", bounds=Bounds(3, 30, 0.2, 30, 0.002))
    world.silence = "look at it"
    world.up = lambda _mark, _seconds: None
    record = run(world, deploy)
    assert (record.state, record.attempt, record.sign) == ("failed", 1, "")
    assert "no sign" in record.reason and "look at it" in record.reason
    assert (world.facts.starts, world.facts.power) == (1, "on")
