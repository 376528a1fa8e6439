"""A config drive that `bakery nodes deploy` gave to a node reaches no deploy after it.

A real Ironic masks the drive in its answers, so what it keeps is read in its database.
"""

import base64
import gzip
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakery.host.report import silent
from bakery.openstack.connection import connect
from bakery.openstack.glance.find import published
from bakery.openstack.glance.images import Images
from bakery.openstack.ironic import config_drive
from bakery.openstack.ironic import deploy as deploying
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.deploy import Sent
from tests.conductor.targets import until
from tests.conftest import BAKERY
from tests.e2e.fleet import Fleet, refused
from tests.e2e.ironic_database import content
from tests.openstack.glance import publishing
from tests.services.openstack import ADMIN, Services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bare-metal")]

NODES = 8
WAITING = "wait call-back"
ISO = bytes(32768) + b"\x01CD001\x01" + b"a tenant's secret" + bytes(30000)


@pytest.fixture(scope="module")
def fleet(bare_metal: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(bare_metal.fresh_project(), tmp_path_factory.mktemp("drives"), NODES, NODES)
    yield made
    made.close(bare_metal.image_url)


@pytest.fixture
def node(fleet: Fleet) -> str:
    (name,) = fleet.deaf(1)
    return name


@pytest.fixture
def drive(node: str, tmp_path: Path) -> Path:
    """A config drive that no other node has."""
    path = tmp_path / "drive.iso"
    path.write_bytes(ISO + node.encode())
    return path


@pytest.fixture
def kept(bare_metal: Services, drive: Path) -> Callable[[], bool]:
    """Whether Ironic has it, anywhere."""
    return lambda: config_drive.packed(drive) in content(bare_metal)


def waiting(fleet: Fleet, node: str, drive: Path) -> None:
    """Have the node deployed with the drive, as far as to its agent, which never comes."""
    done = fleet.deploy(node, "--image", "disk", "--config-drive", str(drive), "--timeout", "1")
    refused(done)  # its time is up
    until(lambda: fleet.show(node)["provision_state"] == WAITING)


@pytest.fixture
def fail(
    fleet: Fleet, bare_metal: Services, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Sent]:
    """Have the node deployed with a drive, packed, of an image that Glance loses meanwhile."""
    name = f"lost-{node}"
    fleet.done("upload", publishing.build(tmp_path, "--layout", "disk", name=name), "-q")
    (lost,) = (image["id"] for image in fleet.project.images() if image["name"] == name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(fleet.project.clouds_yaml))
    connection = connect(ADMIN)

    def deploy(packed: str) -> Sent:
        found = published(Images(connection), name)
        deploys = deploying.Deploys(Ironic(connection), found, "direct", packed)
        nodes = [deploys.ironic.get(node)]
        deploys.check(nodes)
        (bare_metal.store / lost).unlink()
        (sent,) = deploying.deploy(deploys, nodes, silent(), 120)
        return sent

    return deploy


def test_a_deploy_that_fails_leaves_no_config_drive(fleet, node, drive, kept, fail):
    sent = fail(config_drive.packed(drive))
    assert sent.state == "deploy failed"
    assert "prepare to deploy" in sent.error
    assert "config drive" not in sent.error
    shown = fleet.show(node)
    assert shown["provision_state"] == "deploy failed"
    assert "configdrive" not in shown["instance_info"]
    assert not kept()


def test_a_deploy_that_is_undone_leaves_no_config_drive(fleet, node, drive, kept):
    words = ["--image", "disk", "--config-drive", drive, "--undo"]
    process = subprocess.Popen(
        [BAKERY, "nodes", "deploy", node, *words], env=os.environ | fleet.env
    )
    until(lambda: fleet.show(node)["provision_state"] == WAITING)
    assert kept()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 128 + signal.SIGINT
    assert fleet.show(node)["provision_state"] == "available"
    assert not kept()


def test_a_deploy_whose_time_is_up_keeps_its_config_drive_until_it_is_taken_back(
    fleet, node, drive, kept
):
    waiting(fleet, node, drive)
    assert kept()
    fleet.done("nodes", "undeploy", node)
    assert not kept()


@pytest.mark.parametrize(
    "state", [pytest.param("available", marks=pytest.mark.full), "deploy failed"]
)
def test_a_config_drive_that_somebody_left_goes_to_no_deploy_that_asked_for_none(
    fleet, node, drive, kept, fail, state
):
    packed = config_drive.packed(drive)
    if state == "deploy failed":
        assert fail("").state == state
    fleet.client("set", "--instance-info", f"configdrive={packed}", node)
    assert (fleet.show(node)["provision_state"], kept()) == (state, True)
    done = fleet.deploy(node, "--image", "disk", "--timeout", "1")
    refused(done)  # its time is up
    until(lambda: fleet.show(node)["provision_state"] == WAITING)
    assert "configdrive" not in fleet.show(node)["instance_info"]
    assert not kept()


def test_undeploy_takes_a_config_drive_off_a_node_that_is_available(fleet, node, drive, kept):
    fleet.client("set", "--instance-info", f"configdrive={config_drive.packed(drive)}", node)
    assert kept()
    fleet.done("nodes", "undeploy", node)
    assert not kept()


def test_a_config_drive_that_is_packed_already_is_not_packed_again(fleet, node, drive, kept):
    again = drive.with_suffix(".packed")
    again.write_bytes(base64.encodebytes(gzip.compress(drive.read_bytes(), mtime=0)))
    waiting(fleet, node, again)
    assert kept()
    fleet.done("nodes", "undeploy", node)
