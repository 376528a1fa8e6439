"""A node's way: where it ends, what it is offered, and what a killed conductor's successor does."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bakery.deploy.journal import AgentInfo
from bakery.deploy.node import NEXT_TRY_SECONDS, Bounds, Halted
from tests.deploy import world as worlds
from tests.deploy.world import AGENT, deploy_in, run

REPOSITORY = Path(__file__).parents[2]
STATES = (
    *("enroll", "boot-config", "power-on", "ramdisk"),
    *("writing", "verifying", "switched", "rebooted", "running"),
)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr("bakery.deploy.node.NEXT_TRY_SECONDS", NEXT_TRY_SECONDS / 1000)


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


@pytest.mark.parametrize(
    ("step", "reason"), [("image", "too small"), ("ramdisk", "several disks match")]
)
def test_what_no_other_try_can_mend_is_not_tried_again(tmp_path, step, reason):
    world, deploy = deploy_in(tmp_path, {step: 1})
    record = run(world, deploy)
    assert (record.state, record.attempt) == ("failed", 1)
    assert reason in record.reason


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
        deploy.boots()
        return ""

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
    world, deploy = deploy_in(tmp_path, bounds=Bounds(2, 30, 30))

    def up(mark, seconds):
        deploy.ramdisk_up(AGENT)
        return ""

    world.up = up
    record = run(world, deploy)
    assert record.state == "failed"
    assert "boots the deploy ramdisk again" in record.reason


def test_the_same_report_twice_is_taken_and_another_is_not(tmp_path):
    world, deploy = deploy_in(tmp_path)
    answers = []
    written = world.write

    def write(agent, deployment, watcher):
        answers.append(deploy.ramdisk_up(AGENT))
        answers.append(deploy.ramdisk_up(AgentInfo("192.0.2.8", AGENT.iqn)))
        written(agent, deployment, watcher)

    object.__setattr__(deploy._means, "write", write)
    assert run(world, deploy).state == "running"
    assert answers == [True, False]


def test_each_try_before_the_switch_has_secrets_of_its_own(tmp_path):
    world, deploy = deploy_in(tmp_path, {"write": 1})
    first = deploy.deployment
    assert run(world, deploy).state == "running"
    assert deploy.deployment.key != first.key
    assert deploy.deployment.token != first.token


def test_a_halted_deploy_goes_on_in_the_next_conductor(tmp_path):
    world, deploy = deploy_in(tmp_path, {"report": 99}, bounds=Bounds(1, 60, 60))
    world.ramdisk = lambda _deployment: deploy.halt()
    with pytest.raises(Halted):
        run(world, deploy)
    world, deploy = deploy_in(tmp_path)
    assert deploy.record.state in ("boot-config", "power-on")
    assert run(world, deploy).state == "running"


def test_another_build_starts_over(tmp_path):
    world, deploy = deploy_in(tmp_path)
    assert run(world, deploy).state == "running"
    world, deploy = deploy_in(tmp_path, build="k2")
    assert deploy.record.state == "enroll"
    assert run(world, deploy).state == "running"
    assert world.facts.writes == 2


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("state", STATES)
def test_a_conductor_killed_at_any_state_leaves_a_node_that_the_next_one_deploys(
    tmp_path, state, moment
):
    code = f"from tests.deploy import world; world.main([{str(tmp_path)!r}, {state!r}, {moment!r}])"
    for _ in range(2):  # it happens to the second one as well
        words = [sys.executable, "-c", code]
        killed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=False)
        assert killed.returncode in (-signal.SIGKILL, 0), killed.stderr.decode()
    world, deploy = deploy_in(tmp_path)
    record = run(world, deploy)
    assert record.state == "running"
    facts = msgspec.json.decode(world.path.read_bytes(), type=worlds.Facts)
    assert facts.wrong == []
    assert (facts.disk, facts.booted, facts.offer) == ("whole", "system", "system")
