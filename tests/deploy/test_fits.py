import dataclasses
import re
from typing import Any

import msgspec
import pytest

from bakery.cloud import records
from bakery.cloud.find import Part, Published
from bakery.cloud.records import Image
from bakery.deploy import fits
from bakery.deploy.via_ironic import Deploys, _unpatch
from bakery.errors import BakeryError
from bakery.fleet.records import NodeThere
from bakery.manifest import Artifact
from tests.test_params import a_manifest

GIB = 1 << 30


def based(this, **fields):
    """The image, with another base in Glance."""
    return dataclasses.replace(this, base=msgspec.structs.replace(this.base, **fields))


def image(shape="whole-disk", args=("ro",), firmware=("bios",), size=6 * GIB):
    told = msgspec.structs.replace(
        a_manifest(args, "disk" if shape == "whole-disk" else "pv"),
        firmware=firmware,
        artifacts={name: Artifact(size, "d") for name in ("kernel", "ramdisk", "base")},
    )
    made = {
        name: Image(
            id=f"id-{name}",
            name="it",
            status="active",
            hash_algo="sha512",
            hash_value="h",
            properties={records.SHAPE: shape},
        )
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
    assert fits.instance_info(image(), "direct", node()) == {"image_source": "id-base"}
    assert fits.instance_info(image("ami", ("root=/dev/x", "ro")), "ramdisk", node()) == {
        "kernel": "id-kernel",
        "ramdisk": "id-ramdisk",
        "kernel_append_params": "root=/dev/x ro",
    }


@pytest.mark.parametrize(
    "arg",
    [
        *("x=${mac}", "||", ";", "a;b", "%default%", "{a}"),
        *("#!ipxe", "a\nb", "a=b\n#!ipxe", 'a="b', "a=$(reboot)\x00"),
    ],
)
def test_an_argument_that_would_not_arrive_as_it_is_is_refused_by_name(arg):
    with pytest.raises(BakeryError):
        fits.method_of(image("ami", ("ro", arg)), None)


@pytest.mark.parametrize(
    ("boot", "release", "key"),
    [
        ("ipxe", "", "kernel_append_params"),
        ("pxe", "xena", "kernel_append_params"),
        ("http-ipxe", "", "kernel_append_params"),
        ("fake", "", "kernel_append_params"),
        ("ipxe", "wallaby", "ramdisk_kernel_arguments"),
        ("redfish-virtual-media", "", "ramdisk_kernel_arguments"),
        ("idrac-redfish-virtual-media", "", "ramdisk_kernel_arguments"),
        ("redfish-https", "", "ramdisk_kernel_arguments"),
        ("ilo-virtual-media", "2023.1", "ramdisk_kernel_arguments"),
    ],
)
def test_arguments_go_where_the_nodes_boot_interface_reads_them(boot, release, key):
    there = node(boot_interface=boot)
    this = image("ami", ("ro",))
    assert fits.arguments(this, there, release) == {key: "ro"}
    assert fits.problems(there, this, "ramdisk", release) == []
    had = fits.instance_info(this, "ramdisk", there, release)
    assert fits.runs(
        node("active", boot_interface=boot, instance_info=had), this, "ramdisk", release
    )


@pytest.mark.parametrize(
    ("boot", "release", "words"),
    [
        ("irmc-virtual-media", "", "do not reach a node that boots by irmc-virtual-media"),
        ("ipxe", "queens", "the ramdisk deploy interface came with Rocky"),
    ],
)
def test_a_node_that_no_arguments_reach_is_told(boot, release, words):
    (problem,) = fits.problems(node(boot_interface=boot), image("ami"), "ramdisk", release)
    assert words in problem


@pytest.mark.parametrize("link", [records.KERNEL_ID, records.RAMDISK_ID])
def test_a_whole_disk_that_ironic_would_take_for_a_partition_image_is_refused(link):
    this = image()
    this = based(this, properties={**this.base.properties, link: "x"})
    with pytest.raises(BakeryError, match=f"its {link} have Ironic take it") as caught:
        fits.method_of(this, None)
    assert caught.value.hint == f"openstack image unset --property {link} id-base"


def test_an_image_that_nobody_hashed_is_refused_for_direct_alone():
    this = based(image(), hash_value="")
    with pytest.raises(BakeryError, match="neither os_hash_value nor checksum"):
        fits.method_of(this, None)
    assert fits.method_of(based(this, checksum="c"), None) == "direct"
    assert fits.method_of(based(image("ami"), hash_value=""), None) == "ramdisk"


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
        (properties(capabilities="x:y,boot_mode: UEFI"), "boots by uefi"),
        (node(instance_info={"capabilities": {"boot_mode": "uefi"}}), "boots by uefi"),
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
    there = node(state, instance_info=fits.instance_info(this, method, node()))
    assert fits.runs(there, this, method)
    assert fits.problems(there, this, method) == []


def applied(fields, patch):
    """A node's fields with a JSON patch done to them."""
    found = {
        key: dict(value) if isinstance(value, dict) else value for key, value in fields.items()
    }
    for change in patch:
        *inner, key = change["path"].strip("/").split("/")
        place = found[inner[0]] if inner else found
        if change["op"] == "remove":
            del place[key]
        else:
            place[key] = change["value"]
    return found


class Newest:
    """What is looked at of an Ironic where nothing is asked of it."""

    minor = 104


@pytest.mark.parametrize("method", ["direct", "ramdisk"])
@pytest.mark.parametrize("told", [True, False])
def test_a_node_that_is_given_back_has_what_it_had(method, told):
    had: dict[str, Any] = {
        "image_source": "other",
        "image_checksum": "c",
        "kernel": "k",
        "root_gb": 10,
    }
    was = node(instance_info=had, deploy_interface="fake")
    ironic: Any = Newest()
    patch = Deploys(ironic, image(), method)._patch(was) if told else []
    now = node(**applied(was.fields, patch))
    assert told == (now != was)
    assert applied(now.fields, _unpatch(was, now)) == was.fields


def test_a_config_drive_that_nobody_would_hand_over_is_refused():
    ironic: Any = Newest()
    by_ipxe, by_iso = node(boot_interface="ipxe"), node(boot_interface="redfish-virtual-media")
    deploys = Deploys(ironic, image("ami"), "ramdisk", "drive")
    assert deploys.problems(by_ipxe) == [
        "it boots by ipxe, and would get no config drive with the ramdisk"
    ]
    assert deploys.problems(by_iso) == []
    assert Deploys(ironic, image(), "direct", "drive").problems(by_ipxe) == []


def test_a_node_of_another_processor_is_told():
    ironic: Any = Newest()
    deploys = Deploys(ironic, image(), "direct", glimpse=fits.Glimpse("x86_64"))
    assert deploys.problems(properties(cpu_arch="aarch64")) == [
        "its cpu_arch is aarch64, and the image's kernel is one for x86_64"
    ]
    for known in ("x86_64", "amd64", "", None):
        assert deploys.problems(properties(cpu_arch=known)) == []


def test_what_nobody_can_check_is_said():
    ironic: Any = Newest()
    (said,) = Deploys(ironic, image("ami"), "ramdisk").cautions([node()])
    assert "it has to be on each node's disk already" in said
    _, said = Deploys(ironic, image("ami"), "ramdisk", "", fits.Glimpse(zstd=True)).cautions(
        [node()]
    )
    assert "disable_zstandard_decompression" in said
    (said,) = Deploys(ironic, image(), "direct").cautions([node()] * 7)
    assert said.startswith("n, n, n, n, n, …: no boot_mode is said")
    known = properties(capabilities="boot_mode:bios")
    assert Deploys(ironic, image(), "direct").cautions([known]) == []
    assert Deploys(ironic, image(firmware=("bios", "uefi")), "direct").cautions([node()]) == []


def test_other_arguments_are_another_instance():
    this = image("ami")
    info = fits.instance_info(this, "ramdisk", node()) | {"kernel_append_params": "rw"}
    assert not fits.runs(node("active", instance_info=info), this, "ramdisk")
