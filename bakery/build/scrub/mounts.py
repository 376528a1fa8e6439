"""What a system mounts: where each volume lies in its tree, and what of the disk cannot be had.

Everything that names a device for a mount counts: fstab, units and their drop-ins, kernel
arguments of every boot entry, and the partition table (Discoverable Partitions Specification).
A name leads to a volume of the disk, which is searched; to a folder of the system itself, which is
seen under both names; to nothing on this disk, which is noted; or to what cannot be looked into,
which is told with the reason. What is no device of a disk (a network share, memory) is no matter.
"""

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from bakery.build.scrub.devices import Closed, Devices
from bakery.build.scrub.tree import Tree
from bakery.build.scrub.unsearched import Unsearched
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image import mentions
from bakery.image.boot_entries import BootEntry
from bakery.image.engines.base import CannotServe
from bakery.image.inspection import Inspection
from bakery.image.left_behind import ESP_TYPES, KERNEL_ARGUMENT
from bakery.image.mentions import THE_TABLE
from bakery.image.reader import Place, Reader
from bakery.system import boot_devices, device_names
from bakery.system.fstab import tidy
from bakery.system.mention import Mention

# Where systemd mounts boot partitions that nobody mounts (systemd-gpt-auto-generator(8)).
BOOT_PARTITIONS = {kind.upper(): "/efi" for kind in ESP_TYPES} | {
    "BC13C2FF-59E6-4262-A352-B275FD6F7172": "/boot"
}
THE_DISK = "the disk itself"


class Named(NamedTuple):
    """A mention, and where it stands."""

    mention: Mention
    named_in: str


class Mounted(NamedTuple):
    """All that a system mounts: its tree, its swap files, and what is not in the tree."""

    tree: Tree
    swap_files: tuple[str, ...]
    unsearched: tuple[Unsearched, ...]
    notes: tuple[str, ...]


def find(reader: Reader, inspected: Inspection, tree: Tree) -> Mounted:
    """What the system whose own files are `tree` mounts on them."""
    return _Mounts(reader, inspected, tree).found()


class _Mounts:
    """The mounts of one system, as they are found."""

    def __init__(self, reader: Reader, inspected: Inspection, tree: Tree) -> None:
        self._reader = reader
        self._own = self._tree = tree
        self._etc = tree.place("/etc")
        self._entries = [e for e in inspected.entries if self._is_own(e)]
        self._unsearched: list[Unsearched] = []
        self._named = list(self._everything())
        arguments = [m for e in self._entries for m in boot_devices.mentions(e.args)]
        roots = (device_names.disk_of(m.device) for m in arguments if m.use == "root")
        disk = next(filter(None, roots), "")
        self._devices = Devices(reader, [named.mention for named in self._named], disk)
        self._notes: list[str] = []
        self._unknown: list[Named] = []

    def found(self) -> Mounted:
        mounts = [named for named in self._named if named.mention.use == "mount"]
        for named in mounts:
            if not _is_path(named.mention.device):
                self._mount(named)
        for volume, point in self._boot_partitions():
            self._add(point, Place(volume, ""))
        for named in mounts:
            if _is_path(named.mention.device):
                self._bind(named)
        swaps = [named for named in self._named if named.mention.use == "swap"]
        for named in swaps:
            self._swap(named)
        for named in self._unknown:
            self._judge(named)
        for pool in self._devices.pools():
            self._unsearched.append(Unsearched(pool.device, pool.device, THE_DISK, pool.reason))
        files = (n.mention.device for n in swaps if _is_path(n.mention.device))
        return Mounted(self._tree, tuple(files), tuple(self._unsearched), tuple(self._notes))

    def _is_own(self, entry: BootEntry) -> bool:
        """Whether a boot entry starts this system, or says of none that it does."""
        return not entry.root or (entry.root, entry.etc) == (
            self._etc.volume.name,
            self._etc.path,
        )

    def _everything(self) -> Iterator[Named]:
        """All that names a device; what cannot be read and may name some is left unsearched."""
        told: set[str] = set()
        for named in (*self._of_files(), *self._of_arguments()):
            told.add(named.mention.point)
            yield named
        for _, mention in mentions.by_type(self._reader.survey.table):
            if mention.point not in told:
                yield Named(mention, THE_TABLE)

    def _of_files(self) -> Iterator[Named]:
        for source in mentions.sources(self._reader, self._etc.volume, self._etc.path):
            try:
                files = list(source.read())
            except CannotServe:
                raise
            except BakeryError as error:
                reason = f"cannot be read, and may name volumes: {error.message}"
                self._unsearched.append(Unsearched(source.path, "it", source.path, reason))
                continue
            for file in files:
                if file.kind not in ("table", "lvm"):
                    yield from (Named(m, f"{file.path}:{m.line}") for m in file.mentions)

    def _of_arguments(self) -> Iterator[Named]:
        for entry in self._entries:
            for mention in boot_devices.mentions(entry.args):
                yield Named(mention, f"{KERNEL_ARGUMENT} {mention.key}=")

    def _add(self, point: str, place: Place) -> None:
        """What is mounted hides the system's own; of several at one point the first is on top."""
        own = self._own.mounts.get(point, ())
        there = self._tree.mounts.get(point, ())
        over = [one for one in there if one not in own]
        if place not in there:
            self._tree = Tree(self._tree.mounts | {point: (*over, place, *own)})

    def _mount(self, named: Named) -> None:
        mention = named.mention
        point = _plain(mention.point)
        found = self._devices.named(mention.device)
        if not found and device_names.parsed(mention.device).kind != "none":
            self._unknown.append(named)
        for one in found:
            seen = self._devices.seen(one, mention.options)
            if isinstance(seen, Closed):
                self._leave(named, seen.reason)
            elif point:
                self._add(point, Place(seen, ""))

    def _boot_partitions(self) -> Iterator[tuple[Volume, str]]:
        """Those that nothing mounts by name; what they are for is known without."""
        table = self._reader.survey.table
        for partition in table.partitions if table else ():
            point = BOOT_PARTITIONS.get(partition.type.upper())
            volume = self._reader.survey.volume(partition.device)
            if point and volume and volume.device not in self._reached():
                seen = self._devices.seen(volume, ())
                if isinstance(seen, Volume):
                    yield seen, point

    def _reached(self) -> set[str]:
        return {place.volume.device for places in self._tree.mounts.values() for place in places}

    def _bind(self, named: Named) -> None:
        """A folder or a file of the system itself, under another name; or what is in a file."""
        source, point = tidy(named.mention.device).rstrip("/"), _plain(named.mention.point)
        is_bind = not {"bind", "rbind"}.isdisjoint(named.mention.options)
        for place in self._tree.places(source):
            item = _item(self._reader, place)
            if item == "folder" or (item and is_bind):
                if point:
                    self._add(point, place)
            elif item:
                self._leave(named, "is a filesystem in a file, which is not looked into")

    def _swap(self, named: Named) -> None:
        """Swap volumes are made anew wherever they are; a swap that is no such volume is told."""
        mention = named.mention
        if _is_path(mention.device) or self._devices.is_made_at_boot(mention.device):
            return
        found = self._devices.named(mention.device)
        if not found and device_names.parsed(mention.device).kind != "none":
            self._unknown.append(named)
        for one in found:
            seen = self._devices.seen(one, ())
            if isinstance(seen, Closed) and not seen.is_swap:
                self._leave(named, seen.reason)

    def _judge(self, named: Named) -> None:
        """A name that no volume here has: of another disk, or of one that is not seen."""
        may_be = self._devices.may_be(named.mention.device, self._reached())
        use = named.mention.point or named.mention.use
        what = f"{named.mention.device} ({named.named_in}, for {use})"
        if may_be is None:
            self._notes.append(f"{what} is on no volume of this disk")
        else:
            self._leave(named, f"is not found, and may be {may_be.device}, which {may_be.reason}")

    def _leave(self, named: Named, reason: str) -> None:
        name = _plain(named.mention.point) or named.mention.device
        item = Unsearched(name, named.mention.device, named.named_in, reason)
        if item not in self._unsearched:
            self._unsearched.append(item)


def _is_path(device: str) -> bool:
    """Whether it is a file or a folder of the system; two slashes begin a share of SMB's."""
    return device.startswith("/") and not device.startswith(("/dev/", "//"))


def _plain(point: str) -> str:
    """A mount point as a path of a tree: the root is none, since that is given."""
    return posixpath.normpath("/" + point.lstrip("/")).rstrip("/") if point else ""


def _item(reader: Reader, place: Place) -> str:
    """What stands in a place: `folder`, `file`, or nothing."""
    if not place.path:
        return "folder"
    folder, _, name = place.path.rpartition("/")
    found = (item for item in reader.items(place.volume, folder) if item.name == name)
    return next(("folder" if item.is_directory else "file" for item in found), "")
