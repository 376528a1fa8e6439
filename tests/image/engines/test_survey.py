"""What blkid's answers mean, and which volumes a disk holds."""

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    Partition,
    PartitionTable,
    Segment,
    Volume,
    VolumeGroup,
)
from bakery.host.errors import BakeryError
from bakery.image.engines import survey
from bakery.image.engines.survey import Found
from tests.disk.volumes import pvs

PLACE = (Extent(1 << 20, 4096), Extent(8 << 20, 4096))


def test_a_volume_is_what_blkid_says_it_is():
    told = b"ID_FS_LABEL_ENC=the\\x20root\nID_FS_UUID=x\nID_FS_UUID_ENC=1-2\nID_FS_TYPE=xfs\n"
    found = Found("/dev/vg/root", PLACE).holding(0, told)
    assert found == Volume("/dev/vg/root", 8192, PLACE, "xfs", "1-2", "the root")


def test_a_partition_that_is_a_disk_itself_is_told_as_one():
    told = b"ID_PART_TABLE_TYPE=gpt\nID_PART_TABLE_UUID=1\n"
    assert Found("/dev/sda2", PLACE).holding(0, told).type == "partition table"
    assert Found("/dev/sda", PLACE).holding(0, told).type == ""
    both = told + b"ID_FS_TYPE=ext4\n"
    assert Found("/dev/sda2", PLACE).holding(0, both).type == "ext4"


@pytest.mark.parametrize("code", [2, 8])
def test_what_nothing_or_too_much_is_recognised_in_has_no_type(code: int):
    found = Found("/dev/sda1", PLACE).holding(code, b"ID_FS_TYPE=xfs\nID_FS_UUID_ENC=1\n")
    assert (found.type, found.uuid, found.label) == ("", "", "")


def test_another_answer_is_a_failure():
    with pytest.raises(BakeryError, match="blkid failed on /dev/sda1 with exit code 4"):
        Found("/dev/sda1", PLACE).holding(4, b"")


def test_a_container_of_partitions_holds_nothing_itself():
    table = PartitionTable(
        "dos",
        "",
        (
            Partition(1, 512, 1024, "83"),
            Partition(2, 2048, 4096, "5"),
            Partition(5, 2560, 512, "83"),
        ),
    )
    assert [found.device for found in survey.partitioned(table)] == ["/dev/sda1", "/dev/sda5"]
    assert next(survey.partitioned(table)).place == (Extent(512, 1024),)


def test_the_bare_disk_is_a_volume():
    assert survey.whole_disk(4096) == Found("/dev/sda", (Extent(0, 4096),))


def test_a_logical_volume_lies_where_its_segments_do_unless_it_cannot_be_placed():
    segments = (Segment(0, 100, 10), Segment(10, 50, 5))
    good = LogicalVolume("vg", "root", 15, segments)
    thin = LogicalVolume("vg", "thin", 15, (), "it is thin")
    group = VolumeGroup("vg", "", 4 << 20, (1,), (good, thin))
    assert list(survey.logical([group])) == [
        Found("/dev/vg/root", (Extent(100, 10), Extent(50, 5)))
    ]


def test_only_a_physical_volume_is_looked_into_for_a_group():
    volumes = [Volume("/dev/sda1", 4096, (Extent(0, 4096),), "ext4")]

    def read_at(_offset: int, _length: int) -> bytes:
        raise AssertionError("it was read")

    assert list(survey.groups(read_at, volumes)) == []


@pytest.mark.parametrize(("device", "number"), [("/dev/sda", 0), ("/dev/sda7", 7)])
def test_a_physical_volume_has_its_group_or_none(device: str, number: int):
    def groups(name: str) -> list[VolumeGroup]:
        disk = bytes(4096) + pvs.load(name)
        place = (Extent(4096, pvs.SIZE_BYTES),)
        volume = Volume(device, pvs.SIZE_BYTES, place, "LVM2_member")
        return list(survey.groups(lambda at, size: disk[at : at + size], [volume]))

    (found,) = groups("split")
    assert (found.partitions, found.name) == ((number,), "atomicos")
    assert found.volumes[0].segments[0].disk_offset == 4096 + (1 << 20)
    assert groups("orphan") == []
