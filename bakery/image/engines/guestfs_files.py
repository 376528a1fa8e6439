"""Files of the filesystem an appliance has mounted at its root, as guestfish tells of them."""

import os
import re
import stat
from pathlib import Path

import msgspec

from bakery.disk.volumes import btrfs
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import DirectoryEntry, Item
from bakery.image.engines.guestfish import CommandRefused, Guestfish

ENTRY_LIMIT = 20_000
MODE_LIMIT = 1 << 16
STATUS_LINE = re.compile(r"^(st_[a-z_]+): (-?[0-9]{1,20})$", re.MULTILINE)
# How a filesystem is mounted: nothing of it is run.
SAFE = "nodev,nosuid,noexec"
# Read-only alone still replays a dirty journal (mount(8), FILESYSTEM-SPECIFIC MOUNT OPTIONS).
NO_REPLAY = {
    "ext3": "noload",
    "ext4": "noload",
    "xfs": "norecovery",
    "btrfs": "rescue=nologreplay",
}


class Status(msgspec.Struct, frozen=True):
    """What stat(2) tells of a file. Size in bytes, times as (seconds, nanoseconds)."""

    device: int
    inode: int
    mode: int
    owner: tuple[int, int]
    size: int
    accessed: tuple[int, int]
    modified: tuple[int, int]

    @property
    def identity(self) -> tuple[int, int]:
        """What two names of one file have in common."""
        return self.device, self.inode


def mount_options(volume: Volume, *, write: bool) -> str:
    """How a volume is mounted to be looked at, or to be written."""
    words = [SAFE] if write else ["ro", SAFE, NO_REPLAY.get(volume.type, "")]
    return ",".join(word for word in (*words, seen_as(volume)) if word)


def seen_as(volume: Volume) -> str:
    """The mount options by which a volume shows what is meant of it, whatever its default is.

    Of vfat short names are seen as GRUB sees them, in lower case.
    """
    if volume.type == btrfs.TYPE:
        return f"subvolid={volume.subvolume_id}"
    return "utf8,shortname=lower" if volume.type == "vfat" else ""


def inside(path: str) -> str:
    """A path as guestfish is told it: `/./…`, for it takes `/dev/…` for a device of its own."""
    if not path.startswith("/") or not path.isprintable():
        raise BakeryError(f"{path!r} is not a path in an image")
    return f"/.{path}"


def status(fish: Guestfish, path: str) -> Status:
    """What a path leads to, links followed; CommandRefused where that is nothing."""
    return _status(fish.ask("statns", inside(path)))


def _status(answer: str) -> Status:
    told = {name: int(value) for name, value in STATUS_LINE.findall(answer)}
    try:
        found = Status(
            device=told["st_dev"],
            inode=told["st_ino"],
            mode=told["st_mode"],
            owner=(told["st_uid"], told["st_gid"]),
            size=told["st_size"],
            accessed=(told["st_atime_sec"], told["st_atime_nsec"]),
            modified=(told["st_mtime_sec"], told["st_mtime_nsec"]),
        )
    except KeyError as error:
        raise BakeryError(f"the appliance told of a file without its {error}") from None
    if not 0 <= found.mode < MODE_LIMIT or found.size < 0:
        raise BakeryError("the appliance told of a file with an impossible mode or size")
    return found


def regular(fish: Guestfish, path: str) -> Status:
    """The status of a regular file; a pipe or a device would never end, or not be the image's."""
    found = status(fish, path)
    if not stat.S_ISREG(found.mode):
        raise BakeryError(f"{path} is not a regular file")
    return found


def entries(fish: Guestfish, path: str, scratch: Path) -> list[DirectoryEntry]:
    """The names in a directory, sorted, links followed."""
    names = _listed(fish, path, scratch)
    return sorted(DirectoryEntry(name, _is_directory(fish, f"{path}/{name}")) for name in names)


def items(fish: Guestfish, path: str, scratch: Path) -> list[Item]:
    """The names in a directory with their sizes, sorted, links not followed."""
    return sorted(_item(fish, path, name) for name in _listed(fish, path, scratch))


def _item(fish: Guestfish, folder: str, name: str) -> Item:
    path = f"{folder}/{name}"
    found = _status(fish.ask("lstatns", inside(path)))
    if stat.S_ISLNK(found.mode):
        return Item(name, is_directory=False, size_bytes=_size(fish, path))
    is_directory = stat.S_ISDIR(found.mode)
    return Item(name, is_directory, 0 if is_directory else found.size)


def _size(fish: Guestfish, path: str) -> int:
    """The size of the file that a link leads to, or 0."""
    try:
        return regular(fish, path).size
    except BakeryError:  # it leads nowhere, or to a directory
        return 0


def _listed(fish: Guestfish, path: str, scratch: Path) -> list[str]:
    """The names in a directory, by way of a file, for names hold lines."""
    listing = scratch / "listing"
    fish.ask("ls0", inside(path), str(listing))
    names = _names(listing.read_bytes(), path)
    listing.unlink()
    return names


def _is_directory(fish: Guestfish, path: str) -> bool:
    try:
        return stat.S_ISDIR(status(fish, path).mode)
    except CommandRefused:  # a link that leads nowhere
        return False


def _names(listing: bytes, path: str) -> list[str]:
    """The names of a directory, NUL behind each, as ls0 writes them."""
    names = [os.fsdecode(name) for name in listing.split(b"\0") if name]
    if len(names) > ENTRY_LIMIT:
        raise BakeryError(f"{path} holds {len(names)} names, more than the {ENTRY_LIMIT} allowed")
    odd = next((name for name in names if not name.isprintable()), None)
    if odd is not None:
        raise BakeryError(f"{path} holds a name that is not plain text: {odd[:60]!r}")
    return names
