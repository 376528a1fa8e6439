"""The small interface both engines answer: what a build needs to know and do inside an image.

Paths inside a volume are absolute (`/loader/entries`), and symlinks on the way are followed
inside that volume. A volume is one the same session's `survey` told of.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec

from bakery.disk.extents import Extent
from bakery.disk.volumes import Survey, Volume
from bakery.errors import BakeryError

READ_LIMIT_BYTES = 4 << 20


class FileMissing(BakeryError):
    """There is no such file, or a link on the way to it leads nowhere."""


class CannotServe(BakeryError):
    """This engine cannot do this, on this volume; another may. The message is the reason."""


class Entry(msgspec.Struct, frozen=True, order=True):
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


def outermost(takings: Iterable[Taking]) -> list[Taking]:
    """Those that do not lie in a folder that is removed as well."""
    found: list[Taking] = []
    folder = ""
    for taking in sorted(takings, key=lambda taking: (taking.volume.device, f"{taking.path}/")):
        place = f"{taking.volume.device}:{taking.path}/"
        if folder and place.startswith(folder):
            continue
        found.append(taking)
        folder = place if taking.action == "remove" else ""
    return found


class Engine(Protocol):
    """A session on one image, open from construction until `close`.

    The source image is never written: what `replace` changes lands in `overlay`, a qcow2 file
    over the source, complete and free to be moved once the session is closed.
    """

    name: str
    overlay: Path
    mounts_to_edit: bool
    """True where `replace` mounts the filesystem, so that more than the file's bytes change."""

    def survey(self) -> Survey:
        """Partitions, volume groups and volumes with their filesystems."""
        ...

    def list_directory(self, volume: Volume, path: str) -> list[Entry]:
        """The names in a directory, sorted, without `.` and `..`; FileMissing if there is none."""
        ...

    def items(self, volume: Volume, path: str) -> list[Item]:
        """The names in a directory with their sizes, sorted; FileMissing if there is none."""
        ...

    def read_file(self, volume: Volume, path: str, limit: int = READ_LIMIT_BYTES) -> bytes:
        """A file's content; BakeryError when it holds more than `limit` bytes."""
        ...

    def copy_out(self, volume: Volume, path: str, destination: Path) -> None:
        """Copy a file out of the image to `destination`, which is made or replaced."""
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

    def close(self) -> None:
        """End the session; everything written is in `overlay` when this returns."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
