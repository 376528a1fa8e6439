"""What forbids an edit in place: bytes that carry a checksum, are shared, or may yet change."""

from collections.abc import Sequence

from bakery.disk.extents import Extent, ReadAt
from bakery.disk.volumes import ext4, xfs
from bakery.disk.volumes.volumes import Volume

EXT = ("ext2", "ext3", "ext4")
XFS = "xfs"
SHARED = "its bytes are shared with another file, which would change as well"
REPLAY = (
    "the filesystem was not unmounted: its journal, replayed at the next mount, may undo or move "
    "what is written now"
)


def editing(read_at: ReadAt, volume: Volume) -> str | None:
    """Why no file of the volume can be edited in place, or None; `read_at` reads the volume."""
    if volume.type == "btrfs":
        return "btrfs keeps checksums of its data, so no byte can be changed in place"
    if volume.type == XFS:
        return None if xfs.is_clean(read_at, xfs.read(read_at)) else REPLAY
    if volume.type in EXT:
        return REPLAY if ext4.read(read_at).replays else None
    return f"files on {volume.type or 'an unknown filesystem'} are not edited in place"


def sharing(read_at: ReadAt, volume: Volume, pieces: Sequence[Extent]) -> str | None:
    """Why bytes in these ranges of the volume may belong to more than one file, or None."""
    if volume.type == XFS:
        superblock = xfs.read(read_at)
        return SHARED if any(xfs.shared(read_at, superblock, piece) for piece in pieces) else None
    if volume.type in EXT and ext4.read(read_at).shares:
        return "the filesystem lets files share their bytes"
    return None
