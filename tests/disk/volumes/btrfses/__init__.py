"""Filesystems as btrfs-progs and the kernel write them, packed; `make.py` makes them anew.

`system` holds a system in a subvolume, `pair` is the first of two devices. What is in `system`
stands in the tables below.
"""

import functools
import lzma
from pathlib import Path

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.volumes import Subvolume

HERE = Path(__file__).parent
MIB = 1 << 20
SIZE_BYTES = 48 * MIB
NODE_BYTES = 4096  # small, so that few names make a tree of several levels

FSTAB = b"UUID=1 / btrfs subvol=@ 0 0\nUUID=1 /home btrfs subvol=@home 0 0\n"
RELEASE = b'ID=lab\nPRETTY_NAME="The Lab"\n'
LARGE = b"0123456789abcdef" * 20_000
"""Of more than one compressed extent."""
FILES = {
    "etc/fstab": FSTAB,
    "usr/lib/os-release": RELEASE,
    "etc/empty": b"",
    "large/plain": LARGE,
    "large/zlib": LARGE,
    "large/lzo": LARGE,
    "large/zstd": LARGE,
    "nested/inside": b"in a subvolume of a subvolume\n",
}
COMPRESSED = ("zlib", "lzo", "zstd")
LINKS = {
    "etc/os-release": "../usr/lib/os-release",
    "etc/absolute": "/etc/fstab",
    "etc/above": "../../../../../../etc/fstab",
    "etc/into": "/nested/inside",
    "etc/chain": "absolute",
    "etc/folder": "/large",
    "etc/dangling": "nowhere",
    "etc/loop": "loop",
}
MANY = 1500
"""So many names are in `many`: `name-0` and so on, each an empty file."""
NESTED, ROLLED = "@/nested", "@/.snapshots/1/snapshot"
# In the order in which they were made; 260 was made and deleted, with the one in it.
SUBVOLUMES = (
    Subvolume(256, "@"),
    Subvolume(257, "@home"),
    Subvolume(258, NESTED),
    Subvolume(259, "@/.snapshots"),
    Subvolume(262, ROLLED, is_default=True),
)


@functools.cache
def load(name: str) -> bytes:
    """A device of SIZE_BYTES."""
    return lzma.decompress((HERE / f"{name}.xz").read_bytes())


def reader(data: bytes) -> ReadAt:
    """What reads a device from its bytes."""
    return lambda offset, length: data[offset : offset + length]
