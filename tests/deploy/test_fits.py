import re
from typing import Any

import msgspec
import pytest

from bakery.cloud import records
from bakery.cloud.find import Part, Published
from bakery.cloud.records import Image
from bakery.deploy import fits
from bakery.deploy.via_ironic import Deploys
from bakery.errors import BakeryError
from bakery.fleet.records import NodeThere
from bakery.manifest import Artifact
from tests.test_params import a_manifest

GIB = 1 << 30


def image(shape="whole-disk", args=("ro",), firmware=("bios",), size=6 * GIB):
    told = msgspec.structs.replace(
        a_manifest(args, "disk" if shape == "whole-disk" else "pv"),
        firmware=firmware,
        artifacts={name: Artifact(size, "d") for name in ("kernel", "ramdisk", "base")},
    )
    made = {
        name: Image(id=f"id-{name}", status="active", properties={records.SHAPE: shape})
        for name in told.artifacts
    }
    parts = tuple(Part(n, told.file(n), told.artifacts[n], made[n]) for n in told.artifacts)
    return Published(made["base"], b"", told, parts)


def node(state="available", **fields):
    return NodeThere(uuid="u", name="n", fields={"provision_state": state, **fields})


def properties(**found):
    return node(properties=found)


@pytest.mark.parametrize(
    ("shape", "method"), [("whole-disk", "direct"), ("partition", "ramdisk"), ("ami", "ramdisk")]
)
def test_the_deploy_interface_is_that_which_the_image_can_be_deployed_by(shape, method):
    assert fits.method_of(image(shape), None) == method


def test_a_whole_disk_may_be_booted_by_the_network_all_the_same():
    assert fits.method_of(image(), "ramdisk") == "ramdisk"


def test_ramdisk_takes_files_and_arguments_along_and_direct_the_image_alone():
    assert fits.instance_info(image(), "direct") == {"image_source": "id-base"}
    assert fits.instance_info(image("ami", ("root=/dev/x", "ro")), "ramdisk") == {
        "kernel": "id-kernel",
        "ramdisk": "id-ramdisk",
        "kernel_append_params": "root=/dev/x ro",
    }


@pytest.mark.parametrize("arg", ["x=${mac}", "||", ";", "a;b", "%default%", "{a}"])
def test_an_argument_that_would_not_arrive_as_it_is_is_refused_by_name(arg):
    with pytest.raises(BakeryError):
        fits.instance_info(image("ami", ("ro", arg)), "ramdisk")


@pytest.mark.parametrize("state", sorted(fits.FREE))
def test_a_free_node_takes_an_image(state):
    assert fits.problems(node(state), image(), "direct") == []


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (node("active"), "active with another instance"),
        (node("wait call-back"), "another deploy is under way"),
        (node("manageable"), "it is manageable"),
        (node("cleaning"), "it is cleaning"),
        (node(maintenance=True, maintenance_reason="a fan"), r"in maintenance \(a fan\)"),
        (properties(local_gb=5), r"local_gb 5\) is smaller than the image, 6 GiB"),
        (properties(capabilities="boot_mode:uefi,x:y"), "boots by uefi, and the image by bios"),
    ],
)
def test_a_node_that_cannot_take_it_is_told_with_the_reason(there, words):
    (problem,) = fits.problems(there, image(), "direct")
    assert re.search(words, problem)


@pytest.mark.parametrize(
    "there",
    [
        properties(local_gb="6", capabilities="boot_mode:bios"),
        properties(local_gb="unknown", capabilities="boot_mode"),
        properties(capabilities="boot_option:local"),
    ],
)
def test_what_is_not_known_against_a_node_is_no_reason(there):
    assert fits.problems(there, image(), "direct") == []


def test_disk_and_firmware_are_nothing_to_a_node_that_boots_by_the_network():
    there = properties(local_gb=1, capabilities="boot_mode:uefi")
    assert fits.problems(there, image("ami"), "ramdisk") == []


@pytest.mark.parametrize("state", ["active", "deploying", "wait call-back"])
@pytest.mark.parametrize(("shape", "method"), [("whole-disk", "direct"), ("ami", "ramdisk")])
def test_a_node_that_has_it_or_is_on_its_way_to_it_fits(state, shape, method):
    this = image(shape)
    there = node(state, instance_info=fits.instance_info(this, method))
    assert fits.runs(there, this, method)
    assert fits.problems(there, this, method) == []


@pytest.mark.parametrize("method", ["direct", "ramdisk"])
def test_a_node_that_is_given_back_has_what_it_had(method):
    had: dict[str, Any] = {
        "image_source": "other",
        "image_checksum": "c",
        "kernel": "k",
        "root_gb": 10,
    }
    there = node(instance_info=had, deploy_interface="fake")
    nobody: Any = None
    deploys = Deploys(nobody, image(), method)  # only what it would ask for is looked at
    fields: dict[str, Any] = {"instance_info": dict(had), "deploy_interface": "fake"}
    changes: list[dict[str, Any]] = [*deploys._patch(there), *deploys._unpatch(there)]
    for change in changes:
        *inner, key = change["path"].strip("/").split("/")
        place = fields[inner[0]] if inner else fields
        if change["op"] == "remove":
            del place[key]
        else:
            place[key] = change["value"]
    assert fields == {"instance_info": had, "deploy_interface": "fake"}


def test_other_arguments_are_another_instance():
    this = image("ami")
    info = fits.instance_info(this, "ramdisk") | {"kernel_append_params": "rw"}
    assert not fits.runs(node("active", instance_info=info), this, "ramdisk")
