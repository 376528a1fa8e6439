"""How large filesystems take their volumes to be, as their own tools make them."""

import os
import subprocess
from pathlib import Path

import pytest

from bakery.disk.volumes import filesystem_size

MIB = 1 << 20
MAKERS = {
    "ext2": ("mkfs.ext2", "-q"),
    "ext4": ("mkfs.ext4", "-q", "-O", "64bit", "-b", "4096"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "vfat": ("mkfs.vfat",),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_filesystem_spans_the_volume_it_was_made_for(tmp_path: Path, kind: str):
    volume, size = tmp_path / "volume", 320 * MIB
    volume.touch()
    os.truncate(volume, size)
    subprocess.run([*MAKERS[kind], volume], check=True, capture_output=True)
    with volume.open("rb") as file:
        found = filesystem_size.read(kind, lambda at, n: os.pread(file.fileno(), n, at))
    assert size - MIB < found <= size


def test_of_others_and_of_what_is_cut_off_in_its_superblock_nothing_is_told():
    assert filesystem_size.read("swap", lambda _at, n: bytes(n)) == 0
    for kind in MAKERS:
        assert filesystem_size.read(kind, lambda _at, n: bytes(n // 600)) == 0


def test_an_ext_without_64_bits_has_no_upper_half():
    block = bytearray(1024)
    block[4], block[0x150] = 8, 1
    assert filesystem_size.read("ext3", lambda _at, _n: bytes(block)) == 8192
    block[0x60] = filesystem_size.EXT_64BIT
    assert filesystem_size.read("ext3", lambda _at, _n: bytes(block)) == (1 << 32 | 8) * 1024
