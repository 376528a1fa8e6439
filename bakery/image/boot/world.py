"""An image as GRUB sees a machine: its volumes under GRUB's names, and the files in them.

The image is the only disk there is, `hd0`. A partition is named by its number and the kind of its
table (`hd0,gpt2`, `hd0,msdos1`), a logical volume by its group's and its own name (`lvm/vg-root`;
GRUB manual, "Device syntax"; grub-core/disk/lvm.c).
"""

import re
from collections.abc import Iterable

from bakery.disk.volumes import btrfs
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import Item
from bakery.image.reader import Place, Reader
from bakery.system import device_names
from bakery.system.grub.world import Kind, Platform
from bakery.system.grub_memdisk import Memdisk

DISK, MEMDISK = "hd0", "memdisk"
PATH_LIMIT_CHARACTERS = 4096
FOLDERS_LIMIT = 1000
"""So many folders are looked into for one world; each costs a program."""
_SHORT = re.compile(rf"{DISK},([0-9]{{1,3}})")


class ImageWorld:
    """See `bakery.system.grub.world.World`. `volumes` are those whose files can be read.

    `memdisk` is the disk that a GRUB brings along itself. A world that is `lenient` has a file that
    is not on the device it is asked for wherever else it is, seen from a root or from its /boot: so
    a menu can be read of which nothing tells what was set before it.
    """

    def __init__(
        self,
        reader: Reader,
        volumes: Iterable[Volume],
        platform: Platform,
        memdisk: Memdisk | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self._reader = reader
        self._platform = platform
        self._memdisk = memdisk
        self._lenient = lenient
        self._looked_into: set[tuple[str, str]] = set()
        self._volumes = {named(reader.survey, volume): volume.at(None) for volume in volumes}

    @property
    def platform(self) -> Platform:
        """What GRUB runs under."""
        return self._platform

    def place(self, device: str, path: str) -> Place | None:
        """Where in the image a file of GRUB's is; None where the device is not there.

        Of a btrfs the path goes from the top level on, and a subvolume on the way is the one that
        is meant. SUSE's GRUB begins at the default subvolume (`btrfs_relative_path`), which is
        taken where the top level has no such path.
        """
        volume = self._volume(device)
        if volume is None or len(path) > PATH_LIMIT_CHARACTERS or not path.isprintable():
            return None
        views = self._views(volume, path)
        if self._lenient:
            paths = (path, path.removeprefix("/boot"), f"/boot{path}")
            views += [v for o in self._volumes.values() for p in paths for v in self._views(o, p)]
        return next((view for view in views if self._stands(view)), views[0])

    def leniently(self) -> "ImageWorld":
        """The same world, a lenient one."""
        found = ImageWorld(self._reader, (), self._platform, self._memdisk, lenient=True)
        found._volumes = self._volumes
        return found

    def _views(self, volume: Volume, path: str) -> list[Place]:
        """Where a path may lead on a volume, what counts first in front."""
        if volume.type != btrfs.TYPE:
            return [Place(volume, self._reader.spelled(volume, path))]
        return [*_inside(volume, path), Place(volume, path), Place(volume.mounted, path)]

    def read(self, device: str, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        if device == MEMDISK:
            return self._memdisk.read(path) if self._memdisk else None
        place = self.place(device, path)
        return self._reader.text(*place) if place else None

    def is_file(self, device: str, path: str) -> bool:
        """Whether something that is no folder stands there; a link is not followed, as in GRUB."""
        if device == MEMDISK:
            return self._memdisk is not None and self._memdisk.is_file(path)
        return self._is(device, path, directory=False)

    def is_directory(self, device: str, path: str) -> bool:
        """Whether a folder stands there."""
        if device == MEMDISK:
            return self._memdisk is not None and self._memdisk.is_directory(path)
        return self._is(device, path, directory=True)

    def names(self, device: str, path: str) -> tuple[str, ...]:
        """The names in a folder; empty where there is none."""
        if device == MEMDISK:
            return self._memdisk.names(path) if self._memdisk else ()
        place = self.place(device, path)
        return tuple(sorted(self._reader.names(*place))) if place else ()

    def find(self, kind: Kind, value: str) -> str | None:
        """The first device with a filesystem of that UUID or label, or with that file."""
        for device, volume in self._volumes.items():
            if kind == "fs-uuid" and value and volume.uuid.lower() == value.lower():
                return device
            if kind == "label" and value and volume.label == value:
                return device
            if kind == "file" and self._opens(device, value):
                return device
        return None

    def device(self, volume: Volume) -> str:
        """GRUB's name for a volume of the image."""
        return named(self._reader.survey, volume)

    def _volume(self, device: str) -> Volume | None:
        short = _SHORT.fullmatch(device)  # the kind of the table may be left out
        if short is None:
            return self._volumes.get(device)
        wanted = f"/dev/sda{int(short[1])}"
        return next((v for v in self._volumes.values() if v.device == wanted), None)

    def _is(self, device: str, path: str, *, directory: bool) -> bool:
        place = self.place(device, path)
        item = self._item(place) if place else None
        return item is not None and item.is_directory == directory

    def _stands(self, place: Place) -> bool:
        return self._item(place) is not None

    def _item(self, place: Place) -> Item | None:
        """What stands at a place; BakeryError where a script looks into too many folders."""
        self._looked_into.add((place.volume.name, place.path.rpartition("/")[0]))
        if len(self._looked_into) > FOLDERS_LIMIT:
            raise BakeryError(f"GRUB's scripts look into more than {FOLDERS_LIMIT} folders")
        return self._reader.item(*place)

    def _opens(self, device: str, path: str) -> bool:
        """Whether a file can be opened, which a link that leads nowhere cannot."""
        place = self.place(device, path)
        if place is None or not self._is(device, path, directory=False):
            return False
        try:
            self._reader.engine.piece(*place, 0, 1)
        except BakeryError:
            return False
        return True


def named(survey: Survey, volume: Volume) -> str:
    """GRUB's name for a volume."""
    table = survey.table
    partitions = table.partitions if table else ()
    partition = next((p for p in partitions if p.device == volume.device), None)
    if table is not None and partition is not None:
        kind = "gpt" if table.label == "gpt" else "msdos"
        return f"{DISK},{kind}{partition.number}"
    lv = survey.logical_volume(volume.device)
    if lv is not None:
        return "lvm/" + device_names.mapper_name(lv.vg, lv.name)
    return DISK if volume.device == "/dev/sda" else volume.device


def _inside(volume: Volume, path: str) -> list[Place]:
    """The path inside the deepest subvolume on its way, where there is one."""
    held = [s for s in volume.subvolumes if f"{path}/".startswith(f"/{s.path}/")]
    if not held:
        return []
    deepest = max(held, key=lambda subvolume: len(subvolume.path))
    return [Place(volume.at(deepest), path.removeprefix(f"/{deepest.path}") or "/")]
