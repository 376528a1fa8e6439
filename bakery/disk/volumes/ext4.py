"""What of an ext2, ext3 or ext4 superblock matters to an edit in place.

The superblock starts at byte 1024, little-endian (Linux,
Documentation/filesystems/ext4/super.rst; SHARED_BLOCKS: e2fsprogs, lib/ext2fs/ext2_fs.h).
"""

import msgspec

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_BYTES = 1024
MAGIC = 0xEF53
NEEDS_RECOVERY = 0x4
SHARED_BLOCKS = 0x4000


class Superblock(msgspec.Struct, frozen=True):
    """`replays`: the journal changes the filesystem when it is mounted next; `shares`: files
    may lie in the same blocks.
    """

    replays: bool
    shares: bool


def read(read_at: ReadAt) -> Superblock:
    """The superblock of a volume; BakeryError where there is none."""
    block = read_at(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES)
    if len(block) < SUPERBLOCK_BYTES or int.from_bytes(block[0x38:0x3A], "little") != MAGIC:
        raise BakeryError("there is no ext4 superblock")
    incompatible = int.from_bytes(block[0x60:0x64], "little")
    read_only = int.from_bytes(block[0x64:0x68], "little")
    return Superblock(
        replays=bool(incompatible & NEEDS_RECOVERY), shares=bool(read_only & SHARED_BLOCKS)
    )
