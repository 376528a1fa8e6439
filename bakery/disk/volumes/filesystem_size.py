"""How large a filesystem takes its volume to be, from its own superblock.

A kernel mounts none that is larger than its volume. Sources: Linux,
Documentation/filesystems/ext4/super.rst; fs/xfs/libxfs/xfs_format.h; btrfs-progs,
kernel-shared/uapi/btrfs_tree.h; Microsoft, FAT32 File System Specification.
"""

import struct
from collections.abc import Callable

from bakery.disk.extents import ReadAt

EXT_64BIT = 0x80
BTRFS_SUPERBLOCK = 0x10000


def read(kind: str, read_at: ReadAt) -> int:
    """The bytes that a filesystem of blkid's `kind` spans; 0 where that cannot be told.

    `read_at` counts from the start of its volume.
    """
    size = _READERS.get(kind)
    try:
        return size(read_at) if size else 0
    except struct.error:  # the volume ends inside the superblock
        return 0


def _ext(read_at: ReadAt) -> int:
    block = read_at(1024, 1024)
    (low,) = struct.unpack_from("<I", block, 0x4)
    (block_bits,) = struct.unpack_from("<I", block, 0x18)
    (incompatible,) = struct.unpack_from("<I", block, 0x60)
    (high,) = struct.unpack_from("<I", block, 0x150)
    blocks = low | high << 32 if incompatible & EXT_64BIT else low
    return int(blocks) * (1024 << min(int(block_bits), 6))


def _xfs(read_at: ReadAt) -> int:
    _, block_bytes, blocks = struct.unpack_from(">4sIQ", read_at(0, 16))
    return int(blocks * block_bytes)


def _btrfs(read_at: ReadAt) -> int:
    """Of the device that the volume is; a filesystem may have several."""
    block = read_at(BTRFS_SUPERBLOCK, 4096)
    _, size = struct.unpack_from("<QQ", block, 0xC9)
    return int(size)


def _vfat(read_at: ReadAt) -> int:
    sector = read_at(0, 512)
    (sector_bytes,) = struct.unpack_from("<H", sector, 11)
    (small,) = struct.unpack_from("<H", sector, 19)
    (large,) = struct.unpack_from("<I", sector, 32)
    return int((small or large) * sector_bytes)


_READERS: dict[str, Callable[[ReadAt], int]] = {
    "ext2": _ext,
    "ext3": _ext,
    "ext4": _ext,
    "xfs": _xfs,
    "btrfs": _btrfs,
    "vfat": _vfat,
}
