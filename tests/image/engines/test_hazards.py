"""What forbids an edit in place, on filesystems that their own tools made and marked."""

import subprocess
from pathlib import Path

import pytest

from bakery.disk.extents import Extent, ReadAt
from bakery.disk.volumes.volumes import Volume
from bakery.image.engines import hazards

PIECE = [Extent(4096, 100)]


def made(folder: Path, kind: str, *marks: str) -> tuple[ReadAt, Volume]:
    """A filesystem of that kind, and how its bytes are read; `marks` are requests to debugfs."""
    disk = folder / "disk"
    size = {"xfs": 300 << 20, "btrfs": 120 << 20}.get(kind, 8 << 20)
    with disk.open("wb") as file:
        file.truncate(size)
    subprocess.run([f"mkfs.{kind}", "-q", disk], check=True, timeout=60)
    for mark in marks:
        argv: list[str | Path] = ["debugfs", "-w", "-R", mark, disk]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)

    def read_at(offset: int, length: int) -> bytes:
        with disk.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    return read_at, Volume("/dev/sda1", size, (Extent(0, size),), kind)


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4", "xfs"])
def test_a_filesystem_that_was_unmounted_can_be_edited(tmp_path: Path, kind: str):
    read_at, volume = made(tmp_path, kind)
    assert hazards.editing(read_at, volume) is None
    assert hazards.sharing(read_at, volume, PIECE) is None


def test_a_journal_that_will_be_replayed_forbids_it(tmp_path: Path):
    read_at, volume = made(tmp_path, "ext4", "feature needs_recovery")
    assert hazards.editing(read_at, volume) == hazards.REPLAY


def test_blocks_that_files_may_share_forbid_it(tmp_path: Path):
    read_at, volume = made(tmp_path, "ext4", "feature shared_blocks")
    assert hazards.sharing(read_at, volume, PIECE) == "the filesystem lets files share their bytes"


def test_btrfs_keeps_checksums(tmp_path: Path):
    read_at, volume = made(tmp_path, "btrfs")
    assert "checksums" in (hazards.editing(read_at, volume) or "")


@pytest.mark.parametrize(("kind", "named"), [("vfat", "vfat"), ("", "an unknown filesystem")])
def test_what_is_not_known_is_not_edited(kind: str, named: str):
    volume = Volume("/dev/sda1", 1, (Extent(0, 1),), kind)

    def read_at(_offset: int, _length: int) -> bytes:
        raise AssertionError("it was read")

    assert hazards.editing(read_at, volume) == f"files on {named} are not edited in place"
