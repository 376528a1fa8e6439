"""What is asked for, held against what an image is."""

from typing import Any

import msgspec
import pytest

from bakery.build.spec import Options, chosen, resolve
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    Partition,
    PartitionTable,
    Segment,
    Survey,
    Volume,
    VolumeGroup,
)
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.engines import direct, guestfs
from bakery.image.engines.base import LACKING
from bakery.image.inspection import Inspection, system_of
from bakery.image.mentions import DeviceFile
from bakery.system.mention import Mention

MIB = 1 << 20
SIZE = 100 * MIB
PARTITIONS = (
    Partition(1, MIB, 9 * MIB, "83"),
    Partition(2, 10 * MIB, 50 * MIB, "8e"),
    Partition(3, 60 * MIB, 40 * MIB, "83"),
)
SEGMENTS = (Segment(0, 30 * MIB, 8 * MIB), Segment(8 * MIB, 12 * MIB, 8 * MIB))
PIECES = tuple(Extent(segment.disk_offset, segment.length) for segment in SEGMENTS)
GROUP = VolumeGroup("vg", "uuid", 4 * MIB, (2,), (LogicalVolume("vg", "root", 16 * MIB, SEGMENTS),))
LV = Volume("/dev/vg/root", 16 * MIB, PIECES, "xfs", "1111-aaaa")
PLAIN = Volume("/dev/sda3", 40 * MIB, (Extent(60 * MIB, 40 * MIB),), "ext4", "2222-bbbb")
SURVEY = Survey(SIZE, PartitionTable("dos", "", PARTITIONS), (GROUP,), (LV, PLAIN))
FSTAB = DeviceFile(
    path="/etc/fstab",
    kind="fstab",
    mentions=(Mention(device="UUID=b007", use="mount", point="/boot", line=2, line_bytes=30),),
)
FILE = ImageFile("/dev/sda1", "/k")
ARGS = ("root=/dev/mapper/vg-root", "ro", "rd.lvm.lv=vg/root")


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both engines can serve on it."""
    monkeypatch.setattr(direct, "why_not", lambda: None)
    monkeypatch.setattr(guestfs, "why_not", lambda: None)


def entry(name: str = "one", **more: Any) -> BootEntry:
    fields: dict[str, Any] = {"args": ARGS, "root": LV.device, "config": FILE} | more
    return BootEntry(id=name, title=name, kernel=FILE, initrds=(FILE,), **fields)


def inspected(*entries: BootEntry, **more: Any) -> Inspection:
    files = more.pop("files", (FSTAB,))
    found = Inspection(survey=SURVEY, entries=entries or (entry(),), **more)
    systems = {system_of(one): files for one in found.entries}
    return msgspec.structs.replace(found, device_files=systems)


def spec(found: Inspection | None = None, **options: Any) -> Any:
    return resolve(found or inspected(), Options(**options), "some image", "direct")


def test_a_root_on_lvm_is_built_as_its_physical_volume():
    made = spec()
    assert (made.layout, made.place) == ("pv", (Extent(10 * MIB, 50 * MIB),))
    assert made.partition == PARTITIONS[1]
    assert made.kernel_args == ARGS
    assert (made.root, made.edit, made.edit_engine) == (LV, "names", "direct")


def test_alone_it_is_its_segments_in_order_and_is_named_by_its_uuid():
    made = spec(layout="lv")
    assert made.place == PIECES
    assert made.partition == PARTITIONS[1]
    assert made.kernel_args == ("root=UUID=1111-aaaa", "ro")


def test_a_root_without_a_uuid_cannot_stand_alone():
    bare = Volume(LV.device, LV.size_bytes, LV.place, LV.type)
    survey = Survey(SIZE, SURVEY.table, SURVEY.groups, (bare,))
    found = Inspection(survey=survey, entries=(entry(),))
    with pytest.raises(BakeryError, match="has no UUID to name it by"):
        spec(found, layout="lv")


def test_a_plain_root_that_is_named_by_itself_keeps_its_arguments():
    args = ("root=UUID=2222-bbbb", "ro")
    found = inspected(entry(root=PLAIN.device, args=args), refusals={"pv": "not on LVM"})
    made = spec(found)
    assert (made.layout, made.place, made.partition) == ("lv", PLAIN.place, PARTITIONS[2])
    assert made.kernel_args == args


def test_a_whole_disk_is_all_of_it_and_nothing_is_edited():
    made = spec(layout="disk")
    assert (made.place, made.partition) == ((Extent(0, SIZE),), None)
    assert (made.edit, made.edit_engine, made.edit_reason) == ("none", "direct", "")


def test_arguments_are_taken_out_before_others_are_added():
    made = spec(karg_delete=("ro",), karg_append=("quiet", "ro"))
    assert made.kernel_args == (ARGS[0], ARGS[2], "quiet", "ro")


def test_a_whole_disk_with_other_arguments_is_edited_by_a_kernel():
    made = spec(layout="disk", karg_append=("quiet",))
    assert (made.edit, made.edit_engine) == ("kargs", "guestfs")
    assert made.edit_reason == LACKING["resize"]
    with pytest.raises(BakeryError, match="the direct engine cannot edit this image") as raised:
        spec(layout="disk", karg_append=("quiet",), engine="direct")
    assert raised.value.hint == "the guestfs engine can: --engine auto"


def test_an_fstab_that_cannot_be_edited_in_place_is_a_kernels():
    shared = msgspec.structs.replace(FSTAB, obstacle="a shared block")
    made = spec(inspected(files=(shared,)))
    assert (made.edit_engine, made.edit_reason) == ("guestfs", "a shared block")
    whole = spec(inspected(files=(shared,)), layout="disk")
    assert whole.edit_engine == "direct"


def test_what_guestfs_inspected_it_edits():
    made = resolve(inspected(), Options(), "image", "guestfs")
    assert (made.edit_engine, made.edit_reason) == ("guestfs", "")


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "some-image"), ({"name": "mine"}, "mine")],
)
def test_files_are_named_by_the_user_or_the_image(options: dict[str, Any], name: str):
    assert spec(**options).name == name


def test_files_of_an_ostree_image_are_named_by_its_stateroot():
    assert spec(inspected(entry(stateroot="atomic"))).name == "atomic"
    assert spec(inspected(entry(stateroot="../atomic"))).name == "some-image"


def test_a_name_that_leads_elsewhere_is_refused():
    with pytest.raises(BakeryError, match=r"'\.\./x'"):
        spec(name="../x")


def test_the_entry_is_the_one_that_is_asked_for():
    found = inspected(entry("one"), entry("two"))
    assert [chosen(found, None, number)[1] for number in (None, 0, 1)] == [
        found.entries[0],
        found.entries[0],
        found.entries[1],
    ]
    for number in (2, -1):
        with pytest.raises(BakeryError, match=f"there is no deployment {number}"):
            chosen(found, None, number)


def test_an_entry_that_cannot_be_built_is_told_with_those_that_can():
    found = inspected(entry("one", problem="it names no initrd"), entry("two"))
    with pytest.raises(BakeryError, match="it names no initrd") as raised:
        chosen(found, "pv", None)
    assert "--deployment 1" in raised.value.hint
    assert chosen(found, "disk", None) == ("disk", None)


def test_what_cannot_be_taken_apart_is_a_disk_only_where_that_is_asked_for():
    found = Inspection(survey=SURVEY, refusals={"pv": "sealed", "lv": "sealed"})
    with pytest.raises(BakeryError, match="cannot be taken apart: sealed"):
        spec(found)
    assert spec(found, layout="disk").layout == "disk"
    with pytest.raises(BakeryError, match="kernel arguments cannot be edited: sealed"):
        spec(found, layout="disk", karg_append=("quiet",))
    with pytest.raises(BakeryError, match="cannot become layout lv: sealed") as raised:
        spec(found, layout="lv")
    assert raised.value.hint == "it can become: disk"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("a b.c", "a-b.c"),
        (".-a-.", "a"),
        ("ä" * 3, "image"),
        ("", "image"),
        ("a" * 129, "a" * 128),
        ("x_1+2", "x_1+2"),
    ],
)
def test_a_name_is_made_of_the_images(stem: str, name: str):
    assert resolve(inspected(), Options(), stem, "direct").name == name


def test_a_refused_name_is_told_with_what_makes_one():
    with pytest.raises(BakeryError) as refused:
        spec(name="")
    assert "letters, digits" in refused.value.hint


def test_the_deployments_there_are_are_listed():
    with pytest.raises(BakeryError) as refused:
        spec(inspected(entry("one"), entry("two")), deployment=2)
    assert refused.value.message == (
        "there is no deployment 2: the image has 2 boot entries, 0: one; 1: two"
    )
    with pytest.raises(BakeryError, match=r"has 1 boot entry, 0: one$"):
        spec(deployment=1)
    with pytest.raises(BakeryError, match=r"has no boot entry$"):
        spec(Inspection(survey=SURVEY), layout="disk", deployment=0)


def test_without_an_entry_that_can_be_built_there_is_no_other_to_name():
    found = inspected(entry(problem="no initrd"), entry(problem="neither"), entry())
    with pytest.raises(BakeryError) as refused:
        spec(found)
    assert refused.value.hint == "another one can be built: --deployment 2"
    with pytest.raises(BakeryError, match="no initrd") as refused:
        spec(inspected(entry(problem="no initrd")))
    assert refused.value.hint == "bakery inspect shows all that was found"


def test_a_layout_that_is_refused_is_told_with_those_that_are_left():
    found = inspected(refusals={"pv": "not on LVM", "disk": "no"})
    assert spec(found).layout == "lv"
    with pytest.raises(BakeryError, match="cannot become layout pv: not on LVM") as refused:
        spec(found, layout="pv")
    assert refused.value.hint == "it can become: lv"
    nothing = inspected(refusals={"pv": "a", "lv": "b", "disk": "c"})
    with pytest.raises(BakeryError, match="cannot become any layout: c") as refused:
        spec(nothing)
    assert refused.value.hint == "bakery inspect shows all that was found"


def test_a_physical_volume_that_is_the_bare_disk_is_all_of_it():
    group = VolumeGroup("vg", "uuid", 4 * MIB, (0,), GROUP.volumes)
    survey = Survey(SIZE, None, (group,), (LV,))
    made = spec(Inspection(survey=survey, entries=(entry(),)))
    assert (made.place, made.partition) == ((Extent(0, SIZE),), None)


def test_arguments_of_an_image_without_an_entry_cannot_change():
    bare = Inspection(survey=SURVEY, refusals={})
    assert spec(bare, layout="disk").kernel_args == ()
    for option in ({"karg_append": ("a",)}, {"karg_delete": ("a",)}):
        with pytest.raises(BakeryError, match="cannot be edited: it has no boot entry"):
            spec(bare, layout="disk", **option)


def test_what_is_needed_and_left_behind_is_refused_or_accepted_by_name():
    home = Mention(device="/dev/sda3", use="mount", point="/home", line=1, line_bytes=40)
    found = inspected(files=(msgspec.structs.replace(FSTAB, mentions=(home,)),))
    with pytest.raises(BakeryError) as refused:
        spec(found, layout="pv")
    assert refused.value.message == (
        "the image cannot become layout pv: it would leave behind /home (/dev/sda3 in /etc/fstab:1)"
    )
    assert refused.value.hint == "it can be built: --layout disk, or --without /home"
    made = spec(found, layout="pv", without=("/home/",))
    assert [(c.path, c.devices) for c in made.changes] == [("/etc/fstab", {1: None})]
    assert [(item.use, item.done) for item in made.left_behind] == [("/home", "taken out")]


@pytest.mark.parametrize(
    ("point", "reason"), [("/srv", "leaves no /srv behind"), ("/usr", "no system comes up without")]
)
def test_only_what_is_left_behind_can_be_done_without(point: str, reason: str):
    with pytest.raises(BakeryError, match=reason):
        spec(without=(point,))


def test_a_whole_disk_leaves_nothing_that_could_be_done_without():
    home = Mention(device="/dev/sda3", use="mount", point="/home", line=1, line_bytes=40)
    found = inspected(files=(msgspec.structs.replace(FSTAB, mentions=(home,)),))
    assert [item.done for item in spec(found, layout="disk").left_behind] == ["noted"]
    with pytest.raises(BakeryError, match="layout disk leaves no /home behind"):
        spec(found, layout="disk", without=("/home",))


def test_a_line_that_does_not_fit_is_written_by_an_engine_that_can_resize():
    root = Mention(device="/dev/sda3", use="root", point="/", line=1, line_bytes=20)
    args = ("root=/dev/sda3", "ro")
    short = msgspec.structs.replace(FSTAB, mentions=(root,))
    found = inspected(entry(root=PLAIN.device, args=args), files=(short,), refusals={"pv": "no"})
    made = spec(found)
    assert (made.edit_engine, made.edit_reason) == ("guestfs", LACKING["resize"])
    assert made.kernel_args == ("root=UUID=2222-bbbb", "ro")
    roomy = msgspec.structs.replace(short, spare_bytes=5)
    found = inspected(entry(root=PLAIN.device, args=args), files=(roomy,), refusals={"pv": "no"})
    assert spec(found).edit_engine == "direct"


def test_what_the_user_adds_stands_and_what_he_deletes_is_not_asked_for():
    args = (*ARGS, "fips=1", "boot=/dev/sda1")
    found = inspected(entry(args=args), files=())
    with pytest.raises(BakeryError, match="the kernel's checksum") as refused:
        spec(found)
    assert "--karg-delete fips --karg-delete boot" in refused.value.hint
    made = spec(found, karg_delete=("fips", "boot"), karg_append=("resume=/dev/sda9",))
    assert made.kernel_args == (*ARGS, "resume=/dev/sda9")


@pytest.mark.parametrize("options", [{"karg_append": ("a",)}, {"karg_delete": ("ro",)}])
def test_either_change_of_arguments_edits_a_disk(options: dict[str, Any]):
    assert spec(layout="disk", **options).edit == "kargs"
    assert spec(layout="pv", **options).edit == "names"
