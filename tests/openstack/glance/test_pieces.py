from pathlib import Path

import msgspec
import pytest

from bakery.host.errors import BakeryError, UsageError
from bakery.manifest import manifest
from bakery.manifest.manifest import Artifact, Build, Deployment, Manifest
from bakery.openstack.glance import embedded, pieces, records
from bakery.openstack.glance.pieces import PublishOptions, check_name, check_properties

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


def made(options=PublishOptions(), **changes):  # noqa: B008 - frozen
    return pieces.parts(build(**changes), TEXT, options)


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


def test_each_piece_says_for_which_processor_it_is_where_that_is_known():
    told = made(architecture="aarch64")
    for piece in (told.base, *told.companions):
        assert piece.properties["hw_architecture"] == "aarch64"
        assert "hw_architecture" not in made(architecture="").base.properties


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
        made(PublishOptions(name="other")).base,
        made(PublishOptions(shape="partition")).base,
        made(PublishOptions(shape="partition", disk_format="raw")).base,
        made(PublishOptions(shape="partition", compress=True)).base,
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
        made(PublishOptions(shape=shape), layout=layout)


@pytest.mark.parametrize(
    "options",
    [
        PublishOptions(disk_format="qcow2"),
        PublishOptions(compress=True),
        PublishOptions(shape="partition", disk_format="raw", compress=True),
    ],
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(UsageError):
        made(options)


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
    parts = made(PublishOptions(properties={"os_version": "21"}))
    assert parts.base.properties["os_version"] == "21"
    assert all("os_version" not in piece.properties for piece in parts.companions)


def test_a_text_out_of_an_image_is_checked_like_any_other():
    odd = Deployment("entry\x1b[2J", "6.1")
    with pytest.raises(UsageError, match=records.DEPLOYMENT):
        made(deployment=odd)


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"shape": "partition"}, ("qcow2", "bare")),
        ({"shape": "partition", "disk_format": "raw"}, ("raw", "bare")),
        ({"shape": "partition", "compress": True}, ("qcow2", "bare")),
        ({"shape": "ami", "disk_format": "raw"}, ("ami", "ami")),
    ],
)
def test_a_base_has_the_form_that_is_asked_for(options, form):
    base = made(PublishOptions(**options)).base
    assert (base.disk_format, base.container_format) == form
    assert base.compress is options.get("compress", False)
    assert base.converted == (form[0] == "qcow2")


def test_a_whole_disk_boots_with_its_own_arguments():
    said = made(layout="disk").base.properties
    assert "os_command_line" not in said
    assert said["bakery_shape"] == "whole-disk"


def test_a_kernel_says_its_version_and_its_digest_alone():
    kernel, ramdisk = made().companions
    assert kernel.properties == {
        "bakery_role": "kernel", "bakery_digest": "sha256:01", "bakery_kernel_version": "6.1"
    }  # fmt: skip
    assert (kernel.size_bytes, kernel.digest, kernel.min_disk_gib) == (100, "sha256:01", 0)
    assert ramdisk.properties["bakery_digest"] == "sha256:02"
    assert "bakery_kernel_version" not in made(deployment=None).companions[0].properties


def test_a_deployment_without_a_checksum_is_known_by_its_entry():
    assert made(deployment=Deployment("entry", "6.1")).base.properties["bakery_deployment"] == (
        "entry"
    )


@pytest.mark.parametrize(("size", "gib"), [(1, 1), (GIB, 1), (GIB + 1, 2)])
def test_the_least_disk_is_rounded_up(size, gib):
    artifacts = {**build().manifest.artifacts, "base": Artifact(size, "sha256:9")}
    assert made(artifacts=artifacts).base.min_disk_gib == gib


def test_a_property_is_as_long_as_glance_keeps_it():
    check_properties({"k" * 255: "v" * 65_535, "a": "é" * 32_767, "b": ""})
    for key, value in (("k" * 256, "v"), ("a", "v" * 65_536), ("a", "é" * 32_768)):
        with pytest.raises(UsageError, match="is longer than"):
            check_properties({key: value})


def test_characters_that_mysql_does_not_take_are_named_five_at_most():
    check_properties({"a": "ￜ"})
    with pytest.raises(UsageError, match=r"does not take: U\+0001, U\+0002, .*U\+0005$"):
        check_properties({"a": "\x07\x06\x05\x04\x03\x02\x01"})


def test_every_piece_has_the_name_of_the_base():
    parts = made(PublishOptions(name="other"))
    names = [piece.name for piece in (*parts.companions, parts.base)]
    assert names == ["other-kernel", "other-ramdisk", "other"]
    assert parts.companions[0].file == Path("/build/atomic-kernel")
