"""`bakery nodes deploy` against a real Ironic, with nodes of fake hardware.

What it tells Ironic is read back by the real client; nodes that boot are in test_ironic_lab.py.
"""

import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.conftest import BAKERY
from tests.e2e.fleet import ARGS, Fleet, refused
from tests.processes import killed_after, moments
from tests.services.openstack import Services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bare-metal")]

NODES = 14
SEED = 7


@pytest.fixture(scope="module")
def fleet(bare_metal: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(bare_metal.fresh_project(), tmp_path_factory.mktemp("fleet"), NODES)
    yield made
    made.close(bare_metal.image_url)


def test_the_images_own_arguments_arrive_and_the_node_goes_to_active_and_back(fleet):
    node = fleet.node()
    done = fleet.deploy(node, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(one["name"], one["state"]) for one in json.loads(done.stdout)] == [(node, "active")]
    assert "pv has to be on each node's disk already" in done.stderr
    shown = fleet.show(node)
    assert shown["provision_state"] == "active"
    assert shown["deploy_interface"] == "ramdisk"
    assert shown["instance_info"]["kernel_append_params"] == ARGS
    images = {image["name"]: image["id"] for image in fleet.project.images()}
    assert shown["instance_info"]["kernel"] == images["pv-kernel"]
    assert shown["instance_info"]["ramdisk"] == images["pv-ramdisk"]
    again = fleet.deploy(node, "--image", "pv")
    assert again.returncode == 0, again.stderr
    assert fleet.show(node)["updated_at"] == shown["updated_at"]
    assert "active with another instance" in refused(fleet.deploy(node, "--image", "disk"))
    back = fleet.bakery("nodes", "undeploy", node, "--json")
    assert back.returncode == 0, back.stderr
    assert fleet.show(node)["provision_state"] == "available"
    assert "kernel_append_params" not in fleet.show(node)["instance_info"]


def test_what_another_deploy_left_in_instance_info_goes(fleet):
    node = fleet.node()
    fleet.client("set", "--instance-info", "image_source=http://somewhere/else", node)
    done = fleet.deploy(node, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "image_source" not in fleet.show(node)["instance_info"]


def test_what_cannot_work_is_refused_before_ironic_is_told_anything(fleet):
    node = fleet.node()
    fleet.client("manage", "--wait", "60", node)
    assert "it is manageable" in refused(fleet.deploy(node, "--image", "pv"))
    fleet.client("provide", "--wait", "60", node)
    before = fleet.show(node)
    for image, words, reason, code in (
        ("pv", ("--method", "direct"), "is a partition image", 1),
        ("pv-kernel", (), "is only the kernel of a build", 1),
        ("nothing", (), "no image is called 'nothing'", 1),
        ("pv", ("--method", "iscsi"), "'iscsi' is not one of 'direct', 'ramdisk'", 2),
    ):
        assert reason in refused(fleet.deploy(node, "--image", image, *words), code)
    assert node in refused(fleet.deploy(node + "x", "--image", "pv"))
    assert fleet.show(node) == before


def test_a_node_that_does_not_fit_keeps_all_others_from_being_touched(fleet):
    broken, other = fleet.node(), fleet.node()
    fleet.client("maintenance", "set", "--reason", "a fan", broken)
    told = refused(fleet.deploy(other, broken, "--image", "disk"))
    assert f"{broken}: it is in maintenance (a fan)" in told
    assert fleet.show(other)["instance_info"] == {}


def test_nodes_that_ironic_chooses_are_the_same_for_the_same_request(fleet):
    kind = f"class-{fleet.project.name}"
    words = ("--image", "pv", "--resource-class", kind, "--name", f"web-{fleet.project.name}")
    for node in (fleet.node(), fleet.node()):  # Ironic gives away whose power state it knows
        assert fleet.bakery("nodes", "power", node, "off").returncode == 0
    done = fleet.deploy(*words, "--trait", "CUSTOM_FAST", "--count", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    names = [one["name"] for one in json.loads(done.stdout)]
    assert len(set(names)) == 2
    for name in names:
        shown = fleet.show(name)
        assert (shown["provision_state"], shown["traits"]) == ("active", ["CUSTOM_FAST"])
    again = fleet.deploy(*words, "--trait", "CUSTOM_FAST", "--count", "2")
    assert [one["name"] for one in json.loads(again.stdout)] == names
    told = refused(fleet.deploy(*words, "--trait", "CUSTOM_FAST", "--count", "40"))
    assert "38 nodes of" in told and "are available that can take the image" in told
    back = fleet.bakery("nodes", "undeploy", *names)
    assert back.returncode == 0, back.stderr
    assert all(fleet.show(name)["instance_uuid"] is None for name in names)


def test_a_node_gets_an_images_arguments_for_another_ones_deploy(fleet):
    node = fleet.node()
    words = ("nodes", "apply-image-args", node, "--image", "pv", "--json")
    for changed in (True, False):
        done = fleet.bakery(*words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [{"name": node, "changed": changed}]
    assert fleet.show(node)["instance_info"] == {"kernel_append_params": ARGS}


def test_where_ironics_own_validation_fails_its_reason_is_told_and_the_node_is_as_before(fleet):
    node = fleet.node()
    fleet.client("set", "--driver", "ipmi", "--reset-interfaces", node)
    before = fleet.show(node)
    done = fleet.deploy(node, "--image", "disk")
    refused(done)
    (told,) = json.loads(done.stdout)
    assert "cannot be deployed" in told["error"] and "ipmi_address" in told["error"]
    after = fleet.show(node)
    assert (after["instance_info"], after["deploy_interface"]) == ({}, before["deploy_interface"])


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.full)])
def test_a_deploy_that_is_killed_anywhere_is_ended_by_the_same_command(fleet, kills):
    """SIGKILL from the first moment to the last; in the end there is one instance, whole."""
    nodes = [fleet.node(), fleet.node()]
    words = ["nodes", "deploy", *nodes, "--image", "pv", "-q"]
    started = time.monotonic()
    subprocess.run([BAKERY, *words], env=os.environ | fleet.env, check=True)
    whole = time.monotonic() - started
    for turn, seconds in enumerate(itertools.islice(moments(kills, 0, whole, SEED), kills)):
        for node in nodes if turn % 5 == 0 else []:
            fleet.done("nodes", "undeploy", node)
        killed_after(seconds, [BAKERY, *words], fleet.env)
    done = fleet.deploy(*nodes, "--image", "pv")
    assert done.returncode == 0, done.stdout + done.stderr
    for node in nodes:
        shown = fleet.show(node)
        assert shown["provision_state"] == "active"
        assert shown["instance_info"]["kernel_append_params"] == ARGS
        assert shown["last_error"] is None
