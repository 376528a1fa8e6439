"""The superblock of real ext filesystems."""

import subprocess
from pathlib import Path

import pytest

from bakery.disk.volumes import ext4
from bakery.host.errors import BakeryError


def made(folder: Path, *features: str) -> bytes:
    image = folder / "image"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    for feature in features:
        subprocess.run(["debugfs", "-w", "-R", f"feature {feature}", image], check=True)
    return image.read_bytes()


def read(data: bytes) -> ext4.Superblock:
    return ext4.read(lambda offset, length: data[offset : offset + length])


def test_a_new_filesystem_replays_nothing_and_shares_nothing(tmp_path: Path):
    assert read(made(tmp_path)) == ext4.Superblock(replays=False, shares=False)


def test_a_journal_that_wants_recovery_is_seen(tmp_path: Path):
    assert read(made(tmp_path, "needs_recovery")).replays


def test_files_that_may_share_blocks_are_seen(tmp_path: Path):
    assert read(made(tmp_path, "shared_blocks")).shares


@pytest.mark.parametrize("data", [b"", bytes(1500), bytes(4096)])
def test_what_is_no_superblock_is_refused(data):
    with pytest.raises(BakeryError):
        read(data)
