"""What an image is and what it can become, told from the files an engine shows."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bakery.disk.volumes.volumes import LUKS, LogicalVolume, Survey, Volume, VolumeGroup
from bakery.host.errors import BakeryError
from bakery.image.inspection import Inspection, inspect
from bakery.image.reader import Reader
from tests.image.test_boot_entries import BOOT, BTRFS, FILES, LINK, LV, ROOT, SUM, Files, at, bls

SYSTEM = {"etc/os-release": 'ID=lab\nPRETTY_NAME="The Lab"\n', "etc/fstab": "x", "usr/bin/a": ""}
ESP = Volume("/dev/sda4", 1, (), "vfat")
OVER_THE_NETWORK = (
    "no firmware comes to Number 1 by way of the image itself: what is built of it starts over "
    "the network"
)
DEPLOYED = f"ostree/deploy/lab/deploy/{SUM}.0"


class Disk(Files):
    """Files on volumes; `damaged` cannot be read, `facts` go over the survey."""

    damaged: tuple[str, ...] = ()
    facts: Mapping[str, Any] = {}

    def survey(self) -> Survey:
        return msgspec.structs.replace(super().survey(), **self.facts)

    def list_directory(self, volume: Volume, path: str) -> Any:
        if volume.device in self.damaged:
            raise BakeryError("it is torn")
        return super().list_directory(volume, path)


def inspected(trees: Mapping[Volume, Mapping[str, str]], **more: Any) -> Inspection:
    engine = Disk({volume.name: tree for volume, tree in trees.items()})
    whole = dict.fromkeys(volume.at(None) for volume in trees)
    engine.volumes = more.pop("volumes", tuple(whole))
    engine.damaged = more.pop("damaged", ())
    engine.facts = more
    any_engine: Any = engine
    return inspect(Reader(any_engine))


def test_an_image_with_a_boot_of_its_own():
    found = inspected({BOOT: FILES | bls(1), ROOT: SYSTEM}, boot_code=True)
    assert found.roots == (ROOT.device,)
    assert [entry.id for entry in found.entries] == ["n1"]
    assert (found.os_id, found.os_name, found.firmware) == ("lab", "The Lab", ("bios",))
    assert found.refusals == {"pv": f"the root filesystem {ROOT.device} is not on LVM"}
    assert (found.layout, found.notes) == ("lv", ())


def test_a_boot_inside_the_root_comes_after_one_of_its_own():
    inside = {f"boot/{name}": text for name, text in (FILES | bls(1)).items()}
    found = inspected({ROOT: SYSTEM | inside})
    assert found.entries[0].kernel == at("/boot/vmlinuz-1", ROOT)
    both = inspected({ROOT: SYSTEM | inside, BOOT: FILES | bls(2)})
    assert [(entry.id, entry.kernel) for entry in both.entries] == [("n2", at("/vmlinuz-2"))]


def test_a_root_on_lvm_becomes_any_layout():
    found = inspected({BOOT: FILES | bls(1, "/dev/vg-a/root"), LV: SYSTEM})
    assert found.refusals == {}
    assert found.layout == "pv"


def test_a_group_that_is_no_one_partition_can_only_give_its_volume():
    root = LogicalVolume("vg-a", "root", 1)
    for facts, reason in (
        (((3, 4), (root,)), "the volume group vg-a lies in several partitions: 3, 4"),
        (((3,), (root,), ("pv1",)), "the volume group vg-a lacks its physical volume pv1"),
    ):
        groups = (VolumeGroup("vg-a", "", 1, *facts),)
        found = inspected({BOOT: FILES | bls(1, "/dev/vg-a/root"), LV: SYSTEM}, groups=groups)
        assert found.refusals == {"pv": reason}
        assert found.layout == "lv"


def test_a_root_whose_bytes_cannot_be_placed_is_none_of_its_own():
    thin = LogicalVolume("vg-a", "root", 1, (), "it is thin")
    group = VolumeGroup("vg-a", "", 1, (3,), (thin,))
    found = inspected({BOOT: FILES | bls(1, "/dev/vg-a/root"), LV: SYSTEM}, groups=(group,))
    assert found.refusals == {"lv": "it is thin"}


def test_an_ostree_system_has_its_release_in_its_deployment():
    tree = {f"{DEPLOYED}/etc/fstab": "x", f"{DEPLOYED}/usr/lib/os-release": "ID=atomic\n"}
    tree |= {f"{LINK.strip('/')}/etc/fstab": "x"}
    entry = bls(1, options=f"root=UUID=2007-02 ostree={LINK}")
    found = inspected({BOOT: FILES | entry, ROOT: tree})
    assert found.roots == (ROOT.device,)
    assert found.os_id == "atomic"
    assert found.entries[0].problem == ""


def test_of_two_releases_that_in_etc_counts_and_none_is_unknown():
    both = SYSTEM | {"usr/lib/os-release": "ID=other\n"}
    assert inspected({BOOT: FILES | bls(1), ROOT: both}).os_id == "lab"
    empty = both | {"etc/os-release": ""}
    assert inspected({BOOT: FILES | bls(1), ROOT: empty}).os_id == "other"
    bare = {"etc/fstab": "x", "usr/bin/a": ""}
    assert inspected({BOOT: FILES | bls(1), ROOT: bare}).os_id == ""


def test_what_cannot_be_read_is_noted_and_not_fatal():
    locked = Volume("/dev/sda8", 1, (), LUKS)
    found = inspected(
        {BOOT: FILES | bls(1), ROOT: SYSTEM, LV: {}, locked: {}}, damaged=(LV.device, locked.device)
    )
    assert found.notes == (
        f"{LV.device} (xfs) cannot be read: it is torn",
        "/dev/sda8 is encrypted (LUKS) and was not opened",
        OVER_THE_NETWORK,
    )
    assert found.layout == "lv"


def test_a_system_in_a_subvolume_is_told_by_its_name():
    view = BTRFS.at(BTRFS.subvolumes[0])
    entry = bls(1, options="root=UUID=b7f5 rootflags=subvol=@")
    found = inspected({BOOT: FILES | entry, view: SYSTEM})
    assert (found.roots, found.entries[0].root) == ((view.name,), view.name)
    assert found.os_id == "lab"
    assert found.refusals == {"pv": f"the root filesystem {view.name} is not on LVM"}


def test_the_firmware_is_told_by_boot_code_and_by_the_esp():
    esp = {"EFI/BOOT/BOOTX64.EFI": ""}
    both = inspected({ESP: esp, ROOT: SYSTEM}, boot_code=True)
    assert both.firmware == ("bios", "uefi")
    assert inspected({ESP: esp}).firmware == ("uefi",)
    assert inspected({ESP: {"EFI/BOOT/other.efi": ""}}).firmware == ()
    assert inspected({ROOT: esp}).firmware == ()
    assert inspected({ESP: {"a": ""}}).firmware == ()


@pytest.mark.parametrize(
    ("trees", "reason"),
    [
        ({ROOT: {"a": ""}}, "no boot entry was found"),
        ({Volume("/dev/sda1", 1, (), "swap"): {}}, "no filesystem in it can be read"),
        ({Volume("/dev/sda1", 1, (), LUKS): {}, ROOT: {"a": ""}}, "/dev/sda1 is encrypted"),
        ({ESP: {"EFI/Linux/readme": ""}}, "no boot entry was found"),
        ({BOOT: bls(1) | bls(2), ROOT: SYSTEM}, "n2 names /vmlinuz-2"),
    ],
)
def test_why_an_image_cannot_be_taken_apart_is_told_for_both_layouts(trees: Any, reason: str):
    found = inspected(trees)
    assert reason in found.refusals["pv"]
    assert found.refusals["pv"] == found.refusals["lv"]
    assert found.layout == "disk"


def test_an_entry_that_can_be_built_makes_up_for_one_that_cannot():
    found = inspected({BOOT: FILES | bls(3) | bls(1), ROOT: SYSTEM})
    assert [bool(entry.problem) for entry in found.entries] == [True, False]
    assert list(found.refusals) == ["pv"]
    assert found.os_id == "lab"


def test_an_empty_disk_becomes_nothing():
    found = inspected({}, size_bytes=0, volumes=())
    assert found.refusals["disk"] == "the disk is empty"
    assert found.layout is None
    assert (found.entries, found.ways, found.os_name) == ((), (), "")


def test_a_root_or_a_boot_larger_than_its_volume_is_refused_in_every_layout():
    for short in (ROOT, BOOT):
        volumes = [
            msgspec.structs.replace(v, filesystem_bytes=v.size_bytes + 512) if v is short else v
            for v in (BOOT, ROOT)
        ]
        trees = dict(zip(volumes, (FILES | bls(1), SYSTEM), strict=True))
        found = inspected(trees, volumes=tuple(volumes))
        assert set(found.refusals) == {"pv", "lv", "disk"}
        assert f"512 more than {short.device} has" in found.refusals["disk"]
        assert found.layout is None


def test_another_volume_that_is_cut_short_is_noted():
    data = Volume("/dev/sda7", 1, (), "ext4", filesystem_bytes=3)
    found = inspected({BOOT: FILES | bls(1), ROOT: SYSTEM, data: {}})
    short = "the ext4 in /dev/sda7 spans 3 bytes, 2 more than /dev/sda7 has"
    assert found.notes == (OVER_THE_NETWORK, short)
    assert found.layout == "lv"


def test_a_partition_that_is_a_disk_itself_is_the_reason_why_nothing_is_found():
    inner = Volume("/dev/sda2", 1, (), "partition table")
    reason = "/dev/sda2 has a partition table of its own, which is not looked into"
    assert inspected({inner: {}}).refusals["lv"] == reason
