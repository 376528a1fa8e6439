"""`scripts/openstack` starts services that stay, says how to reach them, and stops them."""

import os
import signal
import subprocess

import pytest

from tests.conftest import REPOSITORY
from tests.processes import has_ended, started_with

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

TIMEOUT_SECONDS = 600


@pytest.fixture
def openstack(tmp_path):
    """`openstack("up")` → CompletedProcess; what it started is stopped in the end."""

    def call(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REPOSITORY / "scripts/openstack", command, "--folder", tmp_path / "state"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )

    yield call
    call("down")


def shell(setting: str, command: str) -> str:
    done = subprocess.run(
        ["bash", "-c", f'eval "$0"; {command}', setting], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_up_says_how_a_shell_reaches_them_and_down_stops_them(openstack):
    up = openstack("up")
    assert up.returncode == 0, up.stderr
    create = "openstack image create -f value -c name kept"
    assert shell(up.stdout, create) == "kept"
    assert openstack("status").stdout == up.stdout
    assert openstack("up").stdout == up.stdout
    assert openstack("down").returncode == 0
    assert openstack("status").returncode == 1
    assert openstack("down").returncode == 0
    assert shell(openstack("up").stdout, "openstack image list -f value -c Name") == "kept"


def test_up_starts_anew_where_the_services_were_killed(openstack, tmp_path):
    openstack("up")
    (keeper,) = started_with(str(tmp_path / "state"))
    os.kill(keeper, signal.SIGKILL)
    assert has_ended(keeper)
    assert openstack("status").returncode == 1
    again = openstack("up")
    assert again.returncode == 0, again.stderr
    assert shell(again.stdout, "openstack image list -f value") == ""
