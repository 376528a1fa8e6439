"""The small interface both engines answer: what a build needs to know and do inside an image.

Paths inside a volume are absolute (`/loader/entries`), and symlinks on the way are followed
inside that volume. A volume is one the same session's `survey` told of.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, Self

import msgspec

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError

READ_LIMIT_BYTES = 4 << 20
# An edit copies a whole cluster out of the source, and a scrub clears whole ones: the smaller, the
# better. A table of first level has 32 MiB at most (QCOW_MAX_L1_SIZE), and maps so much by them.
CLUSTER_BYTES = 4096
SMALL_CLUSTERS_BYTES = 8 << 40
LARGE_CLUSTER_BYTES = 64 << 10

Capability = Literal["quick", "edit", "resize", "scrub", "keep", "restore", "map"]
"""What an engine can do beside looking.

`quick`: it answers at once, with no machine to start. `edit`, `resize`: `replace` a file by one of
the same length, or of any. `scrub`: take a Removal out; `keep`: and hand out what is taken as a
tar. `restore`: put the files of a tar into an image. `map`: read volumes that only a kernel puts
together (thin, RAID, cached, encrypted), and `copy_volume` them. An image may still forbid it
(CannotServe).
"""
LACKING: dict[Capability, str] = {
    "quick": "it starts an appliance",
    "edit": "it cannot change files",
    "resize": "the change alters a file's length",
    "scrub": "it cannot remove files",
    "keep": "only a kernel knows every attribute of a file",
    "restore": "only a kernel knows every attribute of a file",
    "map": "only a kernel puts such volumes together",
}
"""Why an engine without the capability cannot do so."""


class FileMissing(BakeryError):
    """There is no such file, or a link on the way to it leads nowhere."""


class CannotServe(BakeryError):
    """This engine cannot do this, on this volume; another may. The message is the reason."""


class DirectoryEntry(msgspec.Struct, frozen=True, order=True):
    """A name in a directory, and whether it (or what it links to) is a directory."""

    name: str
    is_directory: bool


class Item(msgspec.Struct, frozen=True, order=True):
    """A name in a directory as it stands there: a link is no directory. Sizes are in bytes.

    Of a link the size is that of what it leads to, or 0.
    """

    name: str
    is_directory: bool
    size_bytes: int


class Taking(msgspec.Struct, frozen=True):
    """A path of a volume that is to be removed, emptied, or (a swap file) blanked."""

    volume: Volume
    path: str
    action: Literal["remove", "empty", "blank"]


class Removal(msgspec.Struct, frozen=True):
    """Everything that is to leave an image.

    `takings` are files and folders; of `filesystems` the free space is cleared; `swaps` are made
    anew; `gaps` are ranges of the disk, in bytes, that become zeros.
    """

    takings: tuple[Taking, ...]
    filesystems: tuple[Volume, ...]
    swaps: tuple[Volume, ...]
    gaps: tuple[Extent, ...]


class Addition(msgspec.Struct, frozen=True):
    """A file of this machine that is put into an image.

    `path` is the one in the running system; `owner` and `group` are numbers.
    """

    source: Path
    path: str
    mode: int
    owner: int
    group: int


def cluster_bytes(disk_bytes: int) -> int:
    """The grain of an overlay over a disk of that size."""
    return CLUSTER_BYTES if disk_bytes <= SMALL_CLUSTERS_BYTES else LARGE_CLUSTER_BYTES


def tar_name(volume: Volume) -> str:
    """The volume's name in a tar: its UUID, or its device where it has none."""
    return volume.uuid or volume.device.strip("/").replace("/", "-")


def tar_path(volume: Volume, path: str) -> str:
    """What a path of the volume is called in a tar: of a btrfs from its top level on."""
    return "/".join(filter(None, [tar_name(volume), volume.subvolume])) + path


def outermost(takings: Iterable[Taking]) -> list[Taking]:
    """Those that do not lie in a folder that is removed as well."""
    found: list[Taking] = []
    folder = ""
    for taking in sorted(takings, key=lambda taking: (taking.volume.name, f"{taking.path}/")):
        place = f"{taking.volume.name}:{taking.path}/"
        if folder and place.startswith(folder):
            continue
        found.append(taking)
        folder = place if taking.action == "remove" else ""
    return found


def too_large(volume: Volume, path: str, limit: int) -> BakeryError:
    """What is said of a file that holds more than anybody would read of it."""
    return BakeryError(f"{path} in {volume.name} holds more than {limit} bytes")


class Engine(Protocol):
    """A session on one image, open from construction until `close`.

    The source image is never written: what `replace` changes lands in `overlay`, a qcow2 file
    over the source, complete and free to be moved once the session is closed.
    """

    name: str
    capabilities: frozenset[Capability]
    overlay: Path
    mounts_to_edit: bool
    """True where `replace` mounts the filesystem, so that more than the file's bytes change."""

    def survey(self) -> Survey:
        """Partitions, volume groups and volumes with their filesystems."""
        ...

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        """The names in a directory, sorted, without `.` and `..`; FileMissing if there is none."""
        ...

    def items(self, volume: Volume, path: str) -> list[Item]:
        """The names in a directory with their sizes, sorted; FileMissing if there is none."""
        ...

    def read_file(self, volume: Volume, path: str, limit: int = READ_LIMIT_BYTES) -> bytes:
        """A file's content; BakeryError when it holds more than `limit` bytes."""
        ...

    def piece(self, volume: Volume, path: str, offset: int, length: int) -> bytes:
        """`length` bytes of a file from byte `offset` on; fewer at its end, none behind it."""
        ...

    def read_disk(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from byte `offset` on; fewer at its end, none behind it."""
        ...

    def copy_out(self, volume: Volume, path: str, destination: Path, limit: int) -> None:
        """Copy a file out of the image to `destination`, which is made or replaced.

        BakeryError when it holds more than `limit` bytes, holes included.
        """
        ...

    def copy_volume(self, volume: Volume, destination: Path) -> None:
        """Copy all of a volume without a place, edits included, to a new file, zeros as holes.

        CannotServe where this engine cannot.
        """
        ...

    def same_file(self, volume: Volume, first: str, second: str) -> bool:
        """Whether two paths lead to one and the same file."""
        ...

    def cannot_edit(self, volume: Volume, path: str) -> str | None:
        """Why `replace` cannot rewrite this file at its length, or None where it can."""
        ...

    def replace(self, volume: Volume, path: str, old: bytes, new: bytes) -> None:
        """Write `new` over a file that holds exactly `old`, and read it back.

        Owner, mode and extended attributes stay. Raises CannotServe where this engine cannot
        make such a change, and BakeryError where the file does not hold `old`.
        """
        ...

    def scrub(self, removal: Removal, keep: BinaryIO | None = None) -> set[str]:
        """Take `removal` out of the overlay; a tar of the files goes to `keep`, if given.

        Returns the paths that were left, links to be emptied. CannotServe where this engine cannot
        do so with this image; the overlay is of no use then.
        """
        ...

    def restore(self, tar: BinaryIO, volumes: Iterable[Volume]) -> None:
        """Put the members of `tar`, named as `tar_path` names them, into these volumes.

        What stands in their place is written over. CannotServe where this engine cannot.
        """
        ...

    def close(self) -> None:
        """End the session; everything written is in `overlay` when this returns."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
