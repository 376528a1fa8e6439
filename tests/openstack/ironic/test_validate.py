import dataclasses
import re
from typing import Any

import msgspec
import pytest

from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Artifact
from bakery.openstack.connection import CloudError
from bakery.openstack.glance import records
from bakery.openstack.glance.find import Part, Published
from bakery.openstack.glance.records import Image
from bakery.openstack.ironic import validate
from bakery.openstack.ironic.deploy import Deploys, _unpatch
from bakery.openstack.ironic.records import NodeThere
from bakery.system import architecture
from tests.openstack.ironic.test_params import a_manifest

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
    assert validate.method_of(image(shape), None) == method


def test_a_whole_disk_may_be_booted_by_the_network_all_the_same():
    assert validate.method_of(image(), "ramdisk") == "ramdisk"


def test_ramdisk_takes_files_and_arguments_along_and_direct_the_image_alone():
    assert validate.instance_info(image(), "direct", node()) == {"image_source": "id-base"}
    assert validate.instance_info(image("ami", ("root=/dev/x", "ro")), "ramdisk", node()) == {
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
        validate.method_of(image("ami", ("ro", arg)), None)


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
    assert validate.arguments(this, there, release) == {key: "ro"}
    assert validate.problems(there, this, "ramdisk", release) == []
    had = validate.instance_info(this, "ramdisk", there, release)
    assert validate.runs(
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
    (problem,) = validate.problems(node(boot_interface=boot), image("ami"), "ramdisk", release)
    assert words in problem


@pytest.mark.parametrize("link", [records.KERNEL_ID, records.RAMDISK_ID])
def test_a_whole_disk_that_ironic_would_take_for_a_partition_image_is_refused(link):
    this = image()
    this = based(this, properties={**this.base.properties, link: "x"})
    with pytest.raises(BakeryError, match=f"its {link} make Ironic treat it") as caught:
        validate.method_of(this, None)
    assert caught.value.hint == f"openstack image unset --property {link} id-base"


def test_an_image_that_nobody_hashed_is_refused_for_direct_alone():
    this = based(image(), hash_value="")
    with pytest.raises(BakeryError, match="neither os_hash_value nor checksum"):
        validate.method_of(this, None)
    assert validate.method_of(based(this, checksum="c"), None) == "direct"
    assert validate.method_of(based(image("ami"), hash_value=""), None) == "ramdisk"


@pytest.mark.parametrize("state", sorted(validate.FREE))
def test_a_free_node_takes_an_image(state):
    assert validate.problems(node(state), image(), "direct") == []


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (node("active"), "active with another instance"),
        (node("wait call-back"), "another deploy is under way"),
        (node("manageable"), "it is manageable"),
        (node("cleaning"), "it is cleaning"),
        (node(maintenance=True, maintenance_reason="a fan"), r"in maintenance \(a fan\)"),
        (properties(local_gb=5), r"local_gb 5\) is smaller than the image, 6 GiB"),
        (
            properties(capabilities="boot_mode:uefi,x:y"),
            "boots by uefi, but the image only by bios",
        ),
        (properties(capabilities="x:y,boot_mode: UEFI"), "boots by uefi"),
        (node(instance_info={"capabilities": {"boot_mode": "uefi"}}), "boots by uefi"),
    ],
)
def test_a_node_that_cannot_take_it_is_told_with_the_reason(there, words):
    (problem,) = validate.problems(there, image(), "direct")
    assert re.search(words, problem)


@pytest.mark.parametrize(
    "there",
    [
        properties(local_gb="6", capabilities="boot_mode:bios"),
        properties(local_gb="unknown", capabilities="boot_mode"),
        properties(local_gb="0" * 5000),
        properties(capabilities="boot_option:local"),
    ],
)
def test_what_is_not_known_against_a_node_is_no_reason(there):
    assert validate.problems(there, image(), "direct") == []


def test_disk_and_firmware_are_nothing_to_a_node_that_boots_by_the_network():
    there = properties(local_gb=1, capabilities="boot_mode:uefi")
    assert validate.problems(there, image("ami"), "ramdisk") == []


@pytest.mark.parametrize("state", ["active", "deploying", "wait call-back"])
@pytest.mark.parametrize(("shape", "method"), [("whole-disk", "direct"), ("ami", "ramdisk")])
def test_a_node_that_has_it_or_is_on_its_way_to_it_fits(state, shape, method):
    this = image(shape)
    there = node(state, instance_info=validate.instance_info(this, method, node()))
    assert validate.runs(there, this, method)
    assert validate.problems(there, this, method) == []


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


@pytest.mark.parametrize("drive", ["", "ours"])
@pytest.mark.parametrize("has", [{}, {"configdrive": "******"}])
def test_a_config_drive_that_is_there_goes_before_a_deploy_and_never_comes_back(drive, has):
    ironic: Any = Newest()
    was = node(instance_info={"root_gb": 10, **has}, deploy_interface="direct")
    patch = Deploys(ironic, image(), "direct", drive)._patch(was)
    now = node(**applied(was.fields, patch))
    assert now.fields["instance_info"] == {"root_gb": 10, "image_source": "id-base"}
    assert applied(now.fields, _unpatch(was, now))["instance_info"] == {"root_gb": 10}


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
    deploys = Deploys(ironic, image(), "direct", glimpse=validate.Glimpse("x86_64"))
    assert deploys.problems(properties(cpu_arch="aarch64")) == [
        "its cpu_arch is aarch64, but the image is for x86_64"
    ]
    for known in ("x86_64", "amd64", "", None):
        assert deploys.problems(properties(cpu_arch=known)) == []


def test_what_nobody_can_check_is_said():
    ironic: Any = Newest()
    (said,) = Deploys(ironic, image("ami"), "ramdisk").cautions([node()])
    assert "it has to be on each node's disk already" in said
    _, said = Deploys(ironic, image("ami"), "ramdisk", "", validate.Glimpse(zstd=True)).cautions(
        [node()]
    )
    assert "disable_zstandard_decompression" in said
    (said,) = Deploys(ironic, image(), "direct").cautions([node()] * 7)
    assert said.startswith("n, n, n, n, n, …: boot_mode is not set")
    known = properties(capabilities="boot_mode:bios")
    assert Deploys(ironic, image(), "direct").cautions([known]) == []
    assert Deploys(ironic, image(firmware=("bios", "uefi")), "direct").cautions([node()]) == []


def test_other_arguments_are_another_instance():
    this = image("ami")
    info = validate.instance_info(this, "ramdisk", node()) | {"kernel_append_params": "rw"}
    assert not validate.runs(node("active", instance_info=info), this, "ramdisk")


@pytest.mark.parametrize("shape", ["partition", "ami"])
def test_a_partition_image_is_not_deployed_by_direct_even_on_demand(shape):
    with pytest.raises(BakeryError, match="interface 'direct' cannot make one boot") as caught:
        validate.method_of(image(shape), "direct")
    assert "--layout disk" in caught.value.hint
    assert validate.method_of(image(), "direct") == "direct"


class Heads:
    """Tells the heads of images; what is an error is raised."""

    def __init__(self, **heads):
        self.heads = heads
        self.asked = []

    def head(self, image_id, size_bytes):
        self.asked.append((image_id, size_bytes))
        found = self.heads[image_id.removeprefix("id-")]
        if isinstance(found, Exception):
            raise found
        return found[:size_bytes]


def raw(this, disk_format="aki"):
    parts = tuple(
        dataclasses.replace(
            part, image=msgspec.structs.replace(part.image, disk_format=disk_format)
        )
        for part in this.parts
    )
    return dataclasses.replace(this, parts=parts)


ZSTD = b"\x28\xb5\x2f\xfd"
AARCH64 = bytes(56) + b"ARM\x64"  # Documentation/arch/arm64/booting.rst


def test_a_glimpse_is_of_the_heads_of_kernel_and_ramdisk():
    images: Any = Heads(kernel=AARCH64 + bytes(100), ramdisk=ZSTD)
    assert validate.glimpse(images, raw(image())) == validate.Glimpse("aarch64", zstd=True)
    size = architecture.HEAD_BYTES
    assert images.asked == [("id-kernel", size), ("id-ramdisk", size)]
    images = Heads(kernel=b"", ramdisk=ZSTD[:3])
    assert validate.glimpse(images, raw(image())) == validate.UNKNOWN


def test_without_a_kernel_that_tells_the_manifest_counts():
    this = raw(image(), "qcow2")
    told = msgspec.structs.replace(this.manifest, architecture="aarch64")
    images: Any = Heads(kernel=AARCH64 + bytes(100), ramdisk=b"")
    assert validate.glimpse(images, dataclasses.replace(this, manifest=told)).processor == "aarch64"
    other = msgspec.structs.replace(this.manifest, architecture="x86_64")
    named = dataclasses.replace(raw(image()), manifest=other)
    assert validate.glimpse(images, named).processor == "aarch64"


def test_what_may_not_be_read_or_is_packed_tells_nothing():
    images: Any = Heads(kernel=CloudError("no"), ramdisk=ZSTD)
    assert validate.glimpse(images, raw(image())) == validate.Glimpse(zstd=True)
    images = Heads()
    assert validate.glimpse(images, raw(image(), "qcow2")) == validate.UNKNOWN


@pytest.mark.parametrize(
    ("own", "of_properties", "used"),
    [
        ({"serial": "a"}, {"serial": "b"}, {"serial": "a"}),
        (None, {"serial": "b"}, {"serial": "b"}),
        ({}, {"serial": "b"}, {"serial": "b"}),
        (None, None, {}),
        ("odd", {"serial": "b"}, {}),
    ],
)
def test_an_instances_own_root_device_goes_before_the_nodes(own, of_properties, used):
    there = node(instance_info={"root_device": own}, properties={"root_device": of_properties})
    assert validate.root_device(there) == used


def test_an_instances_own_boot_mode_goes_before_the_nodes():
    def mode(own, capabilities):
        there = node(instance_info={"capabilities": own}, properties={"capabilities": capabilities})
        return validate._boot_mode(there)

    assert mode({"boot_mode": "UEFI"}, "boot_mode:bios") == "uefi"
    assert mode({"boot_mode": ""}, "boot_mode:BIOS") == "bios"
    assert mode("boot_mode:uefi", "a:b") == mode(None, None) == ""
