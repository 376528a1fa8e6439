"""A conductor that was halted or killed on a node's way, and what its successor makes of it."""

import signal
import subprocess
import sys

import msgspec
import pytest

from bakery.conductor.means import Bounds
from bakery.conductor.node import Halted
from bakery.conductor.wanted import Wanted
from tests.conductor import world as worlds
from tests.conductor.test_node import STATES
from tests.conductor.world import WANTED, deploy_in, run
from tests.conftest import REPOSITORY


def test_a_halted_deploy_goes_on_in_the_next_conductor(tmp_path):
    world, deploy = deploy_in(tmp_path, {"report": 99}, bounds=Bounds(1, 60, 60))
    world.ramdisk = lambda _deployment: deploy.halt()
    with pytest.raises(Halted):
        run(world, deploy)
    world, deploy = deploy_in(tmp_path)
    assert deploy.record.state in ("boot-config", "power-on")
    assert run(world, deploy).state == "running"


def test_a_halted_deploy_of_the_same_build_with_another_swap_starts_over(tmp_path):
    world, deploy = deploy_in(tmp_path)
    world.up = lambda _mark, _seconds: deploy.halt() or ""
    with pytest.raises(Halted):
        run(world, deploy)
    assert (deploy.record.state, world.facts.writes) == ("rebooted", 1)
    world, deploy = deploy_in(tmp_path, wanted=msgspec.structs.replace(WANTED, swap_mib=8))
    assert deploy.record.state == "enroll"
    assert run(world, deploy).state == "running"
    assert world.facts.writes == 2


def test_another_build_starts_over(tmp_path):
    world, deploy = deploy_in(tmp_path)
    assert run(world, deploy).state == "running"
    world, deploy = deploy_in(tmp_path, wanted=Wanted(build="k2", name="sample"))
    assert deploy.record.state == "enroll"
    assert run(world, deploy).state == "running"
    assert world.facts.writes == 2


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("state", STATES)
def test_a_conductor_killed_at_any_state_leaves_a_node_that_the_next_one_deploys(
    tmp_path, state, moment
):
    code = (
        f"from tests.conductor import world; world.main([{str(tmp_path)!r}, {state!r}, {moment!r}])"
    )
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
