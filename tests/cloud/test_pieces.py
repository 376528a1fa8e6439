from pathlib import Path

import msgspec
import pytest

from bakery import manifest
from bakery.cloud import embedded, pieces, records
from bakery.cloud.pieces import Wish, check_name, check_properties
from bakery.errors import BakeryError, UsageError
from bakery.manifest import Artifact, Build, Deployment, Manifest

TEXT = b"{}\n"
GIB = 1 << 30


def build(**changes):
    whole = Manifest(
        bakery_version="1",
        name="atomic",
        layout="lv",
        engine="direct",
        source=manifest.Source("a.qcow2", "qcow2", GIB, "sha256:aa"),
        partition=None,
        lvm=None,
        root_filesystem=None,
        deployment=Deployment("ostree-1", "6.1", "atomic-host", "c0ffee", 0),
        kernel_args=("ro", 'a="b c"'),
        distro="fedora",
        artifacts={
            "kernel": Artifact(100, "sha256:01"),
            "ramdisk": Artifact(200, "sha256:02"),
            "base": Artifact(GIB + 1, "sha256-1m:03"),
        },
        tools={},
        key="key",
    )
    return Build(Path("/build"), msgspec.structs.replace(whole, **changes))


def made(wish=Wish(), **changes):  # noqa: B008 - frozen
    return pieces.parts(build(**changes), TEXT, wish)


def test_an_ami_is_three_images():
    parts = made()
    assert parts.shape == "ami"
    everything = [*parts.companions, parts.base]
    assert [(p.role, p.name, p.disk_format, p.container_format) for p in everything] == [
        ("kernel", "atomic-kernel", "aki", "aki"),
        ("ramdisk", "atomic-ramdisk", "ari", "ari"),
        ("base", "atomic", "ami", "ami"),
    ]
    assert [p.file for p in everything] == [
        Path("/build/atomic-kernel"), Path("/build/atomic-ramdisk"), Path("/build/atomic-base")
    ]  # fmt: skip


def test_the_base_says_what_the_build_is():
    said = made().base.properties
    assert said == {
        "bakery_role": "base",
        "bakery_shape": "ami",
        "bakery_digest": "sha256-1m:03",
        "bakery_source_digest": "sha256:aa",
        "bakery_layout": "lv",
        "bakery_stateroot": "atomic-host",
        "bakery_deployment": "c0ffee",
        "bakery_kernel_version": "6.1",
        "bakery_key": "key",
        "os_distro": "fedora",
        "os_command_line": 'ro a="b c"',
        **embedded.pack(TEXT),
    }


def test_the_least_disk_is_the_base_in_whole_gib():
    assert made().base.min_disk_gib == 2


def test_what_the_build_does_not_know_is_not_said():
    said = made(deployment=None, distro="").base.properties
    assert not {"bakery_stateroot", "bakery_deployment", "os_distro"} & set(said)
    assert "" not in said.values()


def test_a_whole_disk_says_its_firmware_where_there_is_one_way_to_boot_it():
    one = made(layout="disk", firmware=("uefi",))
    both = made(layout="disk", firmware=("bios", "uefi"))
    assert one.shape == "whole-disk"
    assert one.base.properties["hw_firmware_type"] == "uefi"
    assert "hw_firmware_type" not in both.base.properties


def test_a_whole_disk_is_linked_by_names_that_make_no_partition_of_it():
    ids = {"kernel": "k", "ramdisk": "r"}
    assert made(layout="disk").links(ids) == {"bakery_kernel_id": "k", "bakery_ramdisk_id": "r"}
    assert made().links(ids) == {"kernel_id": "k", "ramdisk_id": "r"}


def test_a_whole_disk_without_a_kernel_is_one_image():
    parts = made(layout="disk", artifacts={"base": Artifact(1, "sha256:03")})
    assert parts.companions == ()


def test_kernel_arguments_and_manifest_do_not_change_an_id():
    first = made().base
    second = made(kernel_args=("rw",), key="other").base
    assert first.image_id("p", 0) == second.image_id("p", 0)


@pytest.mark.parametrize(
    "other",
    [
        made(Wish(name="other")).base,
        made(Wish(shape="partition")).base,
        made(Wish(shape="partition", disk_format="raw")).base,
        made(Wish(shape="partition", compress=True)).base,
        made(artifacts={**build().manifest.artifacts, "base": Artifact(1, "sha256:9")}).base,
        made().companions[0],
    ],
)
def test_everything_an_image_is_changes_its_id(other):
    assert other.image_id("p", 0) != made().base.image_id("p", 0)


def test_project_and_generation_change_an_id():
    base = made().base
    assert len({base.image_id("p", 0), base.image_id("q", 0), base.image_id("p", 1)}) == 3


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("disk", "ami"), ("disk", "partition"), ("pv", "whole-disk"), ("lv", "whole-disk")],
)
def test_a_shape_that_cannot_be_is_refused_with_the_reason(layout, shape):
    with pytest.raises(BakeryError, match=f"layout {layout} cannot be published as {shape}: it"):
        made(Wish(shape=shape), layout=layout)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(disk_format="qcow2"),
        Wish(compress=True),
        Wish(shape="partition", disk_format="raw", compress=True),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(wish):
    with pytest.raises(UsageError):
        made(wish)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "a\x00", "\U0001f35e", "x" * 248, "é" * 124]
)
def test_a_name_glance_cannot_keep_is_refused(name):
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "a b/c:d", "é", "x" * 247, "in:a,b"])
def test_a_name_glance_can_keep_passes(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "key",
    ["", " a", "a\n", "x" * 256, "id", "name", "status", "kernel_id", "ramdisk_id",
     "os_command_line", "bakery_role", "bakery_x", "os_glance_x", "os_hidden"],
)  # fmt: skip
def test_a_property_that_is_not_for_the_caller_is_refused(key):
    with pytest.raises(UsageError):
        check_properties({key: "value"})


def test_a_value_glance_cannot_keep_is_refused():
    for value in ("a\nb", "x" * 70_000):
        with pytest.raises(UsageError, match="the value of property a"):
            check_properties({"a": value})


def test_a_property_of_the_caller_goes_on_the_base_alone():
    parts = made(Wish(properties={"os_version": "21"}))
    assert parts.base.properties["os_version"] == "21"
    assert all("os_version" not in piece.properties for piece in parts.companions)


def test_a_text_out_of_an_image_is_checked_like_any_other():
    odd = Deployment("entry\x1b[2J", "6.1")
    with pytest.raises(UsageError, match=records.DEPLOYMENT):
        made(deployment=odd)
