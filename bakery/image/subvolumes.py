"""Which subvolume of a btrfs is mounted: by `rootflags=`, by the options of a line in fstab.

btrfs(5): `subvol=` is a path from the top level, whatever the default is; `subvolid=` a number;
without either it is the default subvolume. Of two options with one key the later counts, and where
both are given they have to name the same (Linux, fs/btrfs/super.c, mount_subvol).
"""

import re
from collections.abc import Iterable

from bakery.disk.volumes import btrfs
from bakery.disk.volumes.volumes import TOP_LEVEL, Volume
from bakery.host.errors import BakeryError

NUMBER = re.compile(r"[0-9]{1,20}")


def mounted_with(volume: Volume, options: Iterable[str]) -> Volume:
    """What of a volume is seen where it is mounted with these options (mount(8)).

    BakeryError where they name no subvolume of it, so that such a mount fails.
    """
    if volume.type != btrfs.TYPE:
        return volume
    named = dict(word.partition("=")[::2] for word in options)
    path, number = named.get("subvol"), named.get("subvolid")
    found = volume.mounted
    if path is not None:
        found = _at_path(volume, path)
    elif number is not None:
        found = _at_number(volume, number)
    if path is not None and number is not None and _at_number(volume, number) != found:
        raise BakeryError(
            f"subvolid={number} and subvol={path} are two subvolumes of {volume.device}"
        )
    return found


def _at_path(volume: Volume, path: str) -> Volume:
    plain = "/".join(word for word in path.split("/") if word not in ("", "."))
    if not plain:
        return volume.at(None)
    for subvolume in volume.subvolumes:
        if subvolume.path == plain:
            return volume.at(subvolume)
    raise _none(volume, f"subvol={path}")


def _at_number(volume: Volume, text: str) -> Volume:
    number = int(text) if NUMBER.fullmatch(text) else -1
    if number in (0, TOP_LEVEL):
        return volume.at(None)
    for subvolume in volume.subvolumes:
        if subvolume.id == number:
            return volume.at(subvolume)
    raise _none(volume, f"subvolid={text}")


def _none(volume: Volume, option: str) -> BakeryError:
    return BakeryError(
        f"{option} names no subvolume of {volume.device}"
        + (f": {volume.unreadable}" if volume.unreadable else ""),
        "bakery inspect shows those that there are",
    )
