"""XFS as mkfs.xfs and the kernel write it: a clean log and a torn one, shared blocks and own."""

import contextlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk import xfs
from bakery.disk.extents import Extent
from bakery.errors import BakeryError
from bakery.lab import mounts

SIZE_BYTES = 320 << 20
BLOCK = 1024
FILES = 400  # more shared ranges than one block of reference counts holds
HAS_LOOP = os.geteuid() == 0 and Path("/dev/loop-control").exists()
needs_mount = pytest.mark.skipif(not HAS_LOOP, reason="making this one takes a mount")


def made(folder: Path, *options: str) -> Path:
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    subprocess.run(["mkfs.xfs", "-q", "-f", *options, image], check=True)
    return image


@contextlib.contextmanager
def mounted(image: Path) -> Iterator[Path]:
    with mounts.private_mounts(), mounts.mounted(image, image.with_name("mounted")) as folder:
        yield folder


class Volume:
    """An image as the functions under test read it."""

    def __init__(self, image: Path) -> None:
        self.file = image.open("rb")
        self.superblock = xfs.read(self.read_at)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.file.fileno(), length, offset)

    def is_clean(self) -> bool:
        return xfs.is_clean(self.read_at, self.superblock)

    def shared(self, piece: Extent) -> bool:
        return xfs.shared(self.read_at, self.superblock, piece)


def place(file: Path) -> Extent:
    """Where the first block of a file lies, as the kernel maps it (xfs_io: bmap, sectors)."""
    told = subprocess.run(
        ["xfs_io", "-r", "-c", "bmap", file], capture_output=True, text=True, check=True
    ).stdout
    start = told.splitlines()[1].split(": ")[2].split("..")[0]
    return Extent(int(start) * 512, BLOCK)


@pytest.mark.parametrize("options", [(), ("-l", "su=256k"), ("-m", "reflink=0", "-b", "size=1024")])
def test_a_new_filesystem_is_clean(options, tmp_path: Path):
    volume = Volume(made(tmp_path, *options))
    assert volume.is_clean()
    assert volume.superblock.shares == ("reflink=0" not in options)
    assert volume.superblock.log.offset % volume.superblock.block_bytes == 0


@needs_mount
def test_only_what_was_unmounted_is_clean(tmp_path: Path):
    image, torn = made(tmp_path), tmp_path / "torn"
    for number in range(3):
        with mounted(image) as folder:
            for name in range(50):
                (folder / f"{number}-{name}").write_bytes(bytes(BLOCK))
            os.sync()
            shutil.copy(image, torn)
        assert not Volume(torn).is_clean(), number
        assert Volume(image).is_clean(), number


@needs_mount
def test_shared_blocks_are_told_from_own_ones(tmp_path: Path):
    image = made(tmp_path, "-b", f"size={BLOCK}")
    with mounted(image) as folder:
        pieces = {}
        for number in range(FILES):
            file = folder / f"{number}"
            file.write_bytes(number.to_bytes(2, "big") * (BLOCK // 2))
            if number % 2:
                subprocess.run(["cp", "--reflink=always", file, f"{file}.copy"], check=True)
        os.sync()
        for number in range(FILES):
            pieces[number] = place(folder / f"{number}")
    volume = Volume(image)
    for number, piece in pieces.items():
        assert volume.read_at(piece.offset, 2) == number.to_bytes(2, "big")
        assert volume.shared(piece) == bool(number % 2), number
    assert volume.shared(Extent(pieces[0].offset, 2 * BLOCK)) == (pieces[1].offset == pieces[0].end)


def test_a_filesystem_without_sharing_is_not_searched(tmp_path: Path):
    volume = Volume(made(tmp_path, "-m", "reflink=0"))
    assert not volume.shared(Extent(1 << 40, BLOCK))


def test_damaged_reference_counts_are_refused(tmp_path: Path):
    image = made(tmp_path)
    with image.open("r+b") as file:
        file.seek(512 + 88)
        file.write(struct.pack(">II", 3, 1))
    with pytest.raises(BakeryError, match="reference counts of allocation group 0"):
        Volume(image).shared(Extent(0, BLOCK))
    with pytest.raises(BakeryError, match="allocation group"):
        Volume(image).shared(Extent(SIZE_BYTES * 8, BLOCK))


def test_a_damaged_log_is_not_clean(tmp_path: Path):
    image = made(tmp_path)
    log = Volume(image).superblock.log
    with image.open("r+b") as file:
        file.seek(log.offset)
        file.write(bytes(4096))
    assert not Volume(image).is_clean()


@pytest.mark.parametrize(
    "data",
    [b"", bytes(512), b"XFSB" + bytes(508), b"XFSB" + b"\xff" * 508],
    ids=["empty", "zeros", "only-magic", "ones"],
)
def test_what_is_no_superblock_is_refused(data):
    with pytest.raises(BakeryError):
        xfs.read(lambda offset, length: data[offset : offset + length])
