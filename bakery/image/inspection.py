"""What an image is: its volumes, what its boot loader would start, and what it can become.

The answers come from the image's own files by way of an engine; the image is never run.
"""

import msgspec

from bakery.disk.volumes.volumes import LUKS, TABLE, Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image import architecture, boot_entries, left_behind, mentions, trees
from bakery.image.boot import esp
from bakery.image.boot.entry import BootEntry, Way
from bakery.image.left_behind import Leaving, Rule
from bakery.image.mentions import DeviceFile
from bakery.image.reader import Reader
from bakery.manifest.manifest import Layout, LeftBehind
from bakery.system import os_release

NO_MENU = "no boot entry was found, of no boot loader that is known"
LAYOUTS: tuple[Layout, ...] = ("pv", "lv", "disk")


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `entries` stand in the order of the firmware that counts first, UEFI's.

    In front is what starts when nobody chooses; last are those that no firmware comes to.
    """

    survey: Survey
    roots: tuple[str, ...] = ()
    """The names of all volumes and subvolumes that look like a root filesystem."""
    entries: tuple[BootEntry, ...] = ()
    ways: tuple[Way, ...] = ()
    """How each kind of firmware comes to what it starts."""
    firmware: tuple[str, ...] = ()
    """What the whole disk can be booted by: `bios`, `uefi`."""
    architecture: str = ""
    """The processor it is for, as uname(1) names it; empty where nothing tells."""
    os_id: str = ""
    os_name: str = ""
    refusals: dict[Layout, str] = {}
    """Why the image cannot be taken apart so at all; see `why_not` for all that is against it."""
    device_files: dict[str, tuple[DeviceFile, ...]] = {}
    """Where the files of a system name devices, by `system_of` its boot entry."""
    left_behind: dict[Layout, tuple[LeftBehind, ...]] = {}
    """What each layout would leave of the system that is booted when nobody chooses."""
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout | None:
        """The layout a build takes when none is asked for."""
        return next((layout for layout in LAYOUTS if layout not in self.refusals), None)

    def why_not(self, layout: Layout) -> str:
        """Why the image cannot become this layout as it is; empty where it can."""
        items = self.left_behind.get(layout, ())
        return self.refusals.get(layout, "") or left_behind.refusal(items)

    def leaving(
        self,
        layout: Layout,
        entry: BootEntry,
        args: tuple[str, ...],
        without: tuple[str, ...] = (),
    ) -> Leaving:
        """What a layout leaves of the system of a boot entry, started with these arguments."""
        root = self.survey.volume(entry.root)
        assert root is not None
        files = self.device_files.get(system_of(entry), ())
        return Rule(self.survey, layout, root, files, args, without).leaving()


def inspect(reader: Reader) -> Inspection:
    """Ask an engine session everything there is to know."""
    opened = trees.opened(reader)
    files = trees.of(reader, opened)
    roots = trees.roots(reader, files)
    chain = boot_entries.find(reader, opened, files, roots)
    device_files, entries = _device_files(reader, chain.entries)
    system = _release(reader, entries)
    found = Inspection(
        survey=reader.survey,
        roots=roots,
        entries=entries,
        ways=chain.ways,
        firmware=_firmware(reader, opened),
        architecture=architecture.find(
            reader, entries, esp.system_partitions(reader.survey, opened)
        ),
        os_id=system.id,
        os_name=system.name,
        refusals=_cut_short(reader, roots, entries)
        or _refusals(reader, opened, entries, chain.ways),
        device_files=device_files,
        notes=tuple(reader.notes),
    )
    return msgspec.structs.replace(found, left_behind=_left_behind(found))


def system_of(entry: BootEntry) -> str:
    """The system that an entry starts: the volume of its root, and the folder of its settings."""
    return f"{entry.root}:{entry.etc}"


def _device_files(
    reader: Reader, entries: tuple[BootEntry, ...]
) -> tuple[dict[str, tuple[DeviceFile, ...]], tuple[BootEntry, ...]]:
    """The files of each system that name devices; an entry whose files make no sense says so."""
    files: dict[str, tuple[DeviceFile, ...]] = {}
    problems: dict[str, str] = {}
    for entry in entries:
        system, root = system_of(entry), reader.survey.volume(entry.root)
        if entry.problem or root is None or system in files or system in problems:
            continue
        try:
            files[system] = mentions.find(reader, root, entry.etc)
        except BakeryError as error:
            problems[system] = error.message
    return files, tuple(
        msgspec.structs.replace(entry, problem=entry.problem or problems.get(system_of(entry), ""))
        for entry in entries
    )


def _left_behind(found: Inspection) -> dict[Layout, tuple[LeftBehind, ...]]:
    """What each layout leaves that the image can become."""
    entry = next((entry for entry in found.entries if not entry.problem), None)
    if entry is None:
        return {}
    return {
        layout: found.leaving(layout, entry, entry.args).items
        for layout in LAYOUTS
        if layout not in found.refusals
    }


def _firmware(reader: Reader, opened: list[Volume]) -> tuple[str, ...]:
    found = ["bios"] if reader.survey.boot_code else []
    for volume in esp.system_partitions(reader.survey, opened):
        found += ["uefi"] if architecture.of_boot_program(reader, volume) else []
    return tuple(dict.fromkeys(found))


def _release(reader: Reader, entries: tuple[BootEntry, ...]) -> os_release.Release:
    entry = next((entry for entry in entries if not entry.problem), None)
    root = reader.survey.volume(entry.root) if entry else None
    if entry is None or root is None:
        return os_release.Release(id="")
    for path in (entry.etc + "/os-release", entry.etc.removesuffix("/etc") + "/usr/lib/os-release"):
        text = reader.text(root, path)
        if text:
            return os_release.parse(text)
    return os_release.Release(id="")


def _cut_short(
    reader: Reader, roots: tuple[str, ...], entries: tuple[BootEntry, ...]
) -> dict[Layout, str]:
    """A root, or where kernels lie, larger than its volume: in no layout could it be mounted."""
    kernels = (reader.survey.volume(entry.kernel.volume) for entry in entries)
    needed = [*roots, *(volume.device for volume in kernels if volume)]
    for volume in reader.survey.volumes:
        if volume.cut_short and volume.device not in needed:
            reader.notes.append(volume.cut_short)
    found = (reader.survey.volume(name) for name in needed)
    reason = next((volume.cut_short for volume in found if volume and volume.cut_short), "")
    return dict.fromkeys(LAYOUTS, reason) if reason else {}


def _refusals(
    reader: Reader,
    opened: list[Volume],
    entries: tuple[BootEntry, ...],
    ways: tuple[Way, ...],
) -> dict[Layout, str]:
    """What keeps the image from being taken apart, said once for each layout it concerns."""
    refusals: dict[Layout, str] = {}
    whole = _why_not_apart(reader, opened, entries, ways)
    if whole:
        refusals |= {"pv": whole, "lv": whole}
    else:
        entry = next(entry for entry in entries if not entry.problem)
        root = reader.survey.volume(entry.root)
        lv = reader.survey.logical_volume(root.device) if root else None
        if lv is None:
            refusals["pv"] = f"the root filesystem {entry.root} is not on LVM"
        elif lv.unusable:
            refusals["lv"] = lv.unusable
        group = reader.survey.group_of(root.device) if root else None
        if group is not None and group.not_one_partition:
            refusals["pv"] = group.not_one_partition
    if not reader.survey.size_bytes:
        refusals["disk"] = "the disk is empty"
    return refusals


def _why_not_apart(
    reader: Reader,
    opened: list[Volume],
    entries: tuple[BootEntry, ...],
    ways: tuple[Way, ...],
) -> str | None:
    """Why kernel, ramdisk and root cannot be had apart from each other, or None."""
    if any(not entry.problem for entry in entries):
        return None
    if entries:
        return entries[0].problem
    locked = [v.device for v in reader.survey.volumes if v.type == LUKS]
    if locked:
        return f"{', '.join(locked)} is encrypted (LUKS): --luks-key-file opens it"
    disks = [v.device for v in reader.survey.volumes if v.type == TABLE]
    if disks:
        return f"{', '.join(disks)} has a partition table of its own, which is not looked into"
    if not opened:
        return "no filesystem in it can be read"
    return next((way.problem for way in ways if way.problem), "") or NO_MENU
