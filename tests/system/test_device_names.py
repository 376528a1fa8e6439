"""Every name a volume goes by means it, and no other volume."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    Partition,
    PartitionTable,
    Survey,
    Volume,
    VolumeGroup,
)
from bakery.system import device_names
from bakery.system.device_names import named

GPT = PartitionTable(
    "gpt",
    "A1",
    (
        Partition(1, 0, 1, "", name="boot fs", uuid="AAAAAAAA-0000-4000-8000-000000000001"),
        Partition(2, 1, 1, "", name="rootfs", uuid="AAAAAAAA-0000-4000-8000-000000000002"),
        Partition(12, 2, 1, "", name="Rootfs", uuid="AAAAAAAA-0000-4000-8000-00000000000c"),
    ),
)
BOOT = Volume("/dev/sda1", 1, (Extent(0, 1),), "vfat", "7B77-95E7", "EFI")
ROOT = Volume(
    "/dev/sda2", 1, (Extent(1, 1),), "ext4", "5f000000-aaaa-4000-8000-00000000000b", "r t"
)
DATA = Volume(
    "/dev/sda12", 1, (Extent(2, 1),), "xfs", "5f000000-aaaa-4000-8000-00000000000c", "R t"
)
LV = Volume("/dev/a-b/c", 1, (Extent(3, 1),), "xfs", "5f000000-aaaa-4000-8000-00000000000d")
OTHER_LV = Volume("/dev/a/b-c", 1, (Extent(4, 1),), "xfs", "5f000000-aaaa-4000-8000-00000000000e")
GROUPS = (
    VolumeGroup("a-b", "", 1, (3,), (LogicalVolume("a-b", "c", 1),)),
    VolumeGroup("a", "", 1, (4,), (LogicalVolume("a", "b-c", 1),)),
)
VOLUMES = (BOOT, ROOT, DATA, LV, OTHER_LV)
SURVEY = Survey(9, GPT, GROUPS, VOLUMES)
MBR = Survey(9, PartitionTable("dos", "0xDEADBEEF", GPT.partitions), GROUPS, VOLUMES)
MBR_NAMES = Survey(
    9,
    PartitionTable("dos", "0xDEADBEEF", (Partition(1, 0, 1, "83"), Partition(12, 2, 1, "83"))),
    (),
    VOLUMES,
)
PARTED = "AAAAAAAA-0000-4000-8000-00000000000"


def names_of(volume: Volume) -> list[str]:
    """All names of a volume of SURVEY."""
    names = [f"UUID={volume.uuid}", f'UUID="{volume.uuid}"', f"UUID={volume.uuid.upper()}"]
    names += [f"/dev/disk/by-uuid/{volume.uuid}"]
    if volume.label:
        names += [f"LABEL={volume.label}", f'"LABEL={volume.label}"', f'LABEL="{volume.label}"']
        names += ["/dev/disk/by-label/" + volume.label.replace(" ", "\\x20")]
    partition = next((p for p in GPT.partitions if p.device == volume.device), None)
    if partition:
        n = partition.number
        names += [f"PARTUUID={partition.uuid}", f"PARTUUID={partition.uuid.lower()}"]
        names += [f"PARTLABEL={partition.name}", f"/dev/disk/by-partuuid/{partition.uuid.lower()}"]
        names += ["/dev/disk/by-partlabel/" + partition.name.replace(" ", "\\x20")]
        names += [f"/dev/{disk}{n}" for disk in ("sda", "vda", "hda", "xvda")]
        names += [f"/dev/{disk}p{n}" for disk in ("nvme0n1", "nvme1n2", "mmcblk0", "mmcblk1")]
        names += [f"/dev/disk/by-id/ata-QEMU_7-part{n}", f"ID=wwn-0x5-part{n}"]
        names += [f"/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part{n}"]
        names += [f"PARTUUID={PARTED}1/PARTNROFF={n - 1}"]
    lv = SURVEY.logical_volume(volume.device)
    if lv:
        names += [lv.device, lv.mapper, lv.mapper.replace("mapper/", "disk/by-id/dm-name-")]
    return names


EVERY_NAME = [(name, volume) for volume in VOLUMES for name in names_of(volume)]


@pytest.mark.parametrize(("name", "volume"), EVERY_NAME, ids=[name for name, _ in EVERY_NAME])
def test_a_name_means_its_volume_and_no_other(name: str, volume: Volume):
    assert named(name, SURVEY) == (volume,)
    assert device_names.is_of_a_disk(name)


@pytest.mark.parametrize(
    "name",
    [
        "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "/dev/disk/by-label/", "uuid=7B77-95E7",
        "LABEL=efi", "PARTLABEL=rootFS", "/dev/sda", "/dev/sdb1", "/dev/vdb2", "/dev/sda3",
        f"PARTUUID={PARTED}1/PARTNROFF=5", "PARTUUID=none/PARTNROFF=1", "/dev/mapper/a--b--c",
        "/dev/mapper/luks-1", "/dev/disk/by-id/ata-QEMU_7", "tmpfs", "none", "a:/srv", "/", "",
    ],
)  # fmt: skip
def test_what_is_no_volumes_name_means_none(name: str):
    assert named(name, SURVEY) == ()


def test_a_partition_of_an_mbr_is_named_by_the_disks_number_and_its_own():
    assert named("PARTUUID=deadbeef-01", MBR_NAMES) == (BOOT,)
    assert named("PARTUUID=DEADBEEF-0c", MBR_NAMES) == (DATA,)
    assert named("PARTUUID=deadbeef-01/PARTNROFF=11", MBR_NAMES) == (DATA,)
    assert named("PARTUUID=deadbeef-12", MBR_NAMES) == ()


def test_where_the_disk_is_known_by_a_name_only_that_is_it():
    assert named("/dev/sdb2", SURVEY, "sdb") == (ROOT,)
    assert named("/dev/sda2", SURVEY, "sdb") == ()
    assert device_names.disk_of("/dev/nvme1n1p3") == "nvme1n1"
    assert device_names.disk_of("/dev/xvdab12") == "xvdab"
    assert device_names.disk_of("UUID=1") == ""


def test_two_volumes_with_one_uuid_are_both_meant():
    twin = Volume("/dev/sda1", 1, (Extent(0, 1),), "ext4", ROOT.uuid)
    survey = Survey(9, GPT, (), (twin, ROOT))
    assert named(f"UUID={ROOT.uuid}", survey) == (twin, ROOT)


def test_a_bare_disk_is_named_without_a_number():
    bare = Volume("/dev/sda", 1, (Extent(0, 1),), "ext4", "1-2")
    survey = Survey(9, None, (), (bare,))
    for name in ("/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/mmcblk0", "UUID=1-2"):
        assert named(name, survey) == (bare,)
    assert named("/dev/sda1", survey) == ()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("UUID=1", True), ("/dev/dm-3", True), ("/dev/md/root", True), ("/srv/image", True),
        ("tmpfs", False), ("server:/srv", False), ("//server/share", True), ("/dev/zram0", False),
        ("/dev/sr0", False), ("/dev/loop7", False), ("none", False), ("LABEL=", False),
    ],
)  # fmt: skip
def test_what_may_lie_on_a_disk_is_told_from_what_cannot(name: str, is_one: bool):
    assert device_names.is_of_a_disk(name) is is_one


@given(st.text(max_size=40) | st.sampled_from([n for n, _ in EVERY_NAME]).flatmap(
    lambda n: st.integers(0, len(n)).map(lambda cut: n[:cut])
))  # fmt: skip
def test_whatever_is_written_there_is_read_without_an_error(text: str):
    for survey in (SURVEY, MBR, Survey(9, None, (), VOLUMES)):
        assert set(named(text, survey)) <= set(VOLUMES)
