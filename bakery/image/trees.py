"""The trees of files in an image: each volume that can be read, of a btrfs each of its subvolumes.

Which of them look like a system's root.
"""

import itertools
from collections.abc import Sequence

from bakery.disk.volumes.volumes import LUKS, Volume
from bakery.host.errors import BakeryError
from bakery.image.reader import Reader

READABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")
SUBVOLUMES_LIMIT = 256
"""How many of a volume are looked into: one that keeps containers has thousands."""


def opened(reader: Reader) -> list[Volume]:
    """The volumes whose files can be read; where not, that is noted and not fatal."""
    return [volume for volume in reader.survey.volumes if _opens(reader, volume)]


def of(reader: Reader, volumes: Sequence[Volume]) -> list[Volume]:
    """The trees of these volumes: what a mount without options shows, the whole, the rest."""
    found: list[Volume] = []
    for volume in volumes:
        views = [volume.mounted, volume, *map(volume.at, volume.subvolumes)]
        distinct = dict.fromkeys(views)
        if len(distinct) > SUBVOLUMES_LIMIT:
            reader.notes.append(
                f"{volume.device} has {len(volume.subvolumes)} subvolumes, of which no more than "
                f"{SUBVOLUMES_LIMIT} were looked into"
            )
        found += itertools.islice(distinct, SUBVOLUMES_LIMIT)
    return found


def roots(reader: Reader, trees: Sequence[Volume]) -> tuple[str, ...]:
    """The names of those that look like the root of a system."""
    return tuple(tree.name for tree in trees if _is_root(reader, tree))


def _opens(reader: Reader, volume: Volume) -> bool:
    if volume.type == LUKS and reader.survey.volume(volume.opened) is None:
        reader.notes.append(f"{volume.device} is encrypted (LUKS) and was not opened")
    if volume.type not in READABLE:
        return False
    try:
        if volume.unreadable:
            raise BakeryError(volume.unreadable)
        reader.directory(volume, "/")
    except BakeryError as error:
        reader.notes.append(f"{volume.device} ({volume.type}) cannot be read: {error.message}")
        return False
    return True


def _is_root(reader: Reader, tree: Volume) -> bool:
    names = reader.names(tree, "/")
    if "ostree" in names and reader.directory(tree, "/ostree/deploy"):
        return True
    if "nix" in names and reader.directory(tree, "/nix/store"):
        return True
    return "etc" in names and bool(names & {"usr", "bin"})
