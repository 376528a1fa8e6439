"""The survey by way of an appliance's programs, on disks that this machine's programs made."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Subvolume, Survey
from bakery.host.errors import BakeryError
from bakery.image.engines import guestfs_survey
from tests.disk.volumes import btrfses, pvs
from tests.image.engines.stand_in import StandIn

MIB = 1 << 20
TABLE = "label: dos\nstart=2048,size=16384,type=83\nsize=8192,type=83\n"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A partition with an ext4 and one with nothing."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(16 * MIB)
    subprocess.run(["sfdisk", "-q", path], input=TABLE.encode(), check=True)
    options = ["-L", "a label", "-E", f"offset={MIB}"]
    subprocess.run(["mkfs.ext4", "-q", *options, path, "8m"], check=True)
    return path


def surveyed(disk: Path, work: Path) -> tuple[Survey, StandIn]:
    fish: Any = StandIn(work, disk)
    return guestfs_survey.survey(fish, work), fish


def test_partitions_and_what_they_hold_are_told(disk: Path, tmp_path: Path):
    survey, fish = surveyed(disk, tmp_path)
    first, second = survey.volumes
    assert (survey.size_bytes, survey.groups) == (16 * MIB, ())
    assert survey.table
    assert [p.type for p in survey.table.partitions] == ["83", "83"]
    assert (first.device, first.type, first.label) == ("/dev/sda1", "ext4", "a label")
    assert first.place == (Extent(MIB, 8 * MIB),)
    assert len(first.uuid) == 36
    assert (second.device, second.type, second.size_bytes) == ("/dev/sda2", "", 4 * MIB)
    read = [words[3] for words in fish.commands("download-offset")]
    assert len(read) == len(set(read)) == 3, "a block is read once"
    assert not (tmp_path / "block").exists()


def test_code_that_a_bios_would_run_is_seen(disk: Path, tmp_path: Path):
    assert not surveyed(disk, tmp_path)[0].boot_code
    for place, seen in ((440, False), (439, True)):
        with disk.open("r+b") as file:
            os.pwrite(file.fileno(), b"\x01", place)
        assert surveyed(disk, tmp_path)[0].boot_code == seen


def test_a_disk_without_a_table_is_a_volume_itself(tmp_path: Path):
    path = tmp_path / "bare.raw"
    path.write_bytes(bytes(8 * MIB))
    subprocess.run(["mkfs.ext4", "-q", path], check=True)
    survey, _ = surveyed(path, tmp_path)
    (bare,) = survey.volumes
    assert (survey.table, bare.device, bare.type) == (None, "/dev/sda", "ext4")
    assert bare.place == (Extent(0, 8 * MIB),)


def test_volumes_of_a_group_follow_the_plain_ones(tmp_path: Path):
    path = tmp_path / "pv.raw"
    path.write_bytes(pvs.load("split").ljust(pvs.SIZE_BYTES, b"\0"))
    survey, fish = surveyed(path, tmp_path)
    assert [volume.device for volume in survey.volumes] == [
        "/dev/sda",
        "/dev/atomicos/root",
        "/dev/atomicos/docker-pool",
    ]
    assert survey.volumes[1].place == (Extent(MIB, 2 * MIB), Extent(7 * MIB, 2 * MIB))
    assert any("/dev/atomicos/root;" in words[-1] for words in fish.commands("debug"))


LISTED = """[0] = {
  btrfssubvolume_id: 262
  btrfssubvolume_top_level_id: 259
  btrfssubvolume_path: @/.snapshots/1/snapshot
}
[1] = {
  btrfssubvolume_id: 256
  btrfssubvolume_top_level_id: 5
  btrfssubvolume_path: @ {x}
}
"""


def of_btrfs(work: Path, listed: str) -> StandIn:
    path = work / "bare.raw"
    path.write_bytes(btrfses.load("system"))
    fish: Any = StandIn(work, path)
    fish.on_btrfs_subvolume_list = lambda _path: listed
    fish.on_btrfs_subvolume_get_default = lambda _path: "262\n"
    told: StandIn = fish
    return told


def test_the_subvolumes_of_a_btrfs_are_told_in_the_order_of_their_numbers(tmp_path: Path):
    fish: Any = of_btrfs(tmp_path, LISTED)
    (volume,) = guestfs_survey.survey(fish, tmp_path).volumes
    assert volume.subvolumes == (
        Subvolume(256, "@ {x}"),
        Subvolume(262, "@/.snapshots/1/snapshot", is_default=True),
    )
    (words,) = fish.commands("mount-options")
    assert words[1:] == ("ro,nodev,nosuid,noexec,rescue=nologreplay,subvolid=5", "/dev/sda", "/")
    assert fish.commands("umount-all")


def test_a_btrfs_that_cannot_be_mounted_is_told_with_the_reason(tmp_path: Path):
    fish: Any = of_btrfs(tmp_path, LISTED)
    fish.refused["mount-options"] = "wrong fs type"
    (volume,) = guestfs_survey.survey(fish, tmp_path).volumes
    assert (volume.type, volume.subvolumes, volume.unreadable) == ("btrfs", (), "wrong fs type")


def test_a_list_of_subvolumes_that_is_of_another_form_is_not_guessed_at(tmp_path: Path):
    fish: Any = of_btrfs(tmp_path, LISTED.replace("path: @ {x}", "path: "))
    with pytest.raises(BakeryError, match="subvolumes of /dev/sda cannot be told"):
        guestfs_survey.survey(fish, tmp_path)


def test_a_table_that_cannot_be_asked_for_is_not_taken_for_none(disk: Path, tmp_path: Path):
    fish: Any = StandIn(tmp_path, disk)
    fish.refused["debug"] = "sfdisk: not found"
    with pytest.raises(BakeryError, match="not found"):
        guestfs_survey.survey(fish, tmp_path)


def test_an_answer_without_its_end_is_none(disk: Path, tmp_path: Path):
    fish: Any = StandIn(tmp_path, disk)
    fish.on_debug = lambda _kind, command: "" if "blkid" in command else StandIn.on_debug(
        fish, "sh", command
    )  # fmt: skip
    with pytest.raises(BakeryError, match="blkid did not answer about /dev/sda1"):
        guestfs_survey.survey(fish, tmp_path)


def reader(size: int, work: Path) -> tuple[guestfs_survey._Reader, StandIn, bytes]:
    disk = work / "noise"
    disk.write_bytes(os.urandom(size))
    fish: Any = StandIn(work, disk)
    return guestfs_survey._Reader(fish, work / "block", size), fish, disk.read_bytes()


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 512),
        (MIB - 1, 2),
        (MIB - 2, 4),
        (MIB, 1),
        (MIB - 1, 2 * MIB),
        (3 * MIB - 3, 10),
        (0, 4 * MIB),
    ],
)
def test_a_range_is_read_across_blocks_and_up_to_the_end(tmp_path: Path, offset: int, length: int):
    size = 3 * MIB + 5
    found, _, noise = reader(size, tmp_path)
    assert found.read_at(offset, length) == noise[offset : offset + length]


def test_behind_the_end_there_is_nothing(tmp_path: Path):
    for size in (2 * MIB, 2 * MIB + 5):
        found, _, noise = reader(size, tmp_path)
        assert found.read_at(size, 5) == b""
        assert found.read_at(size + MIB, 5) == b""
        assert found.read_at(size - 1, 5) == noise[-1:]


def test_blocks_are_kept_and_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guestfs_survey, "BLOCK_LIMIT", 2)
    found, fish, _ = reader(4 * MIB, tmp_path)
    for offset in (0, 5, MIB, MIB + 9, 0):
        found.read_at(offset, 1)
    assert len(fish.asked) == 2
    found.read_at(2 * MIB, 1)
    found.read_at(2 * MIB, 1)
    found.read_at(0, 1)
    assert len(fish.asked) == 4
    assert len(found._blocks) == 2


def test_in_the_appliance_a_disk_goes_by_its_label_alone():
    assert guestfs_survey.inside("/dev/sda") == "/dev/disk/guestfs/image"
    assert guestfs_survey.inside("/dev/sda12") == "/dev/disk/guestfs/image12"
    assert guestfs_survey.inside("/dev/vg/root") == "/dev/vg/root"
