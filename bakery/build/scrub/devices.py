"""The volumes that a system's names for devices mean, and what of a disk stays closed to who looks.

A name leads straight to a volume, or by way of what the system opens (crypttab) or puts together
(mdadm.conf). Where a name leads nowhere, it is asked what on the disk it may be: only where
nothing here can be it, it is of another disk.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bakery.disk.volumes.volumes import LUKS, TABLE, Volume
from bakery.host.errors import BakeryError
from bakery.image.reader import Reader
from bakery.image.subvolumes import mounted_with
from bakery.image.trees import READABLE
from bakery.system import device_names
from bakery.system.mention import Mention

SWAP_TYPES = ("swap", "swsuspend")
WAY_LIMIT = 8
# What names itself and holds no other volume, by blkid's words: a name that is not its own is none.
PLAIN = (
    "DM_verity_hash", "erofs", "exfat", "f2fs", "iso9660", "jbd", "jfs", "nilfs2", "ntfs",
    "reiserfs", "squashfs", "udf", "xfs_external_log",
)  # fmt: skip
# Partitions that hold a boot loader's code, or nothing: BIOS boot, PReP, Microsoft's reserve.
OF_LOADERS = (
    "21686148-6449-6E6F-744E-656564454649",
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B",
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",
    "41",
)
# What is put together of others, and mounts by itself what is in it.
POOL = "zfs_member"


class Closed(NamedTuple):
    """A volume that cannot be looked into, and why, with the device as the subject."""

    device: str
    reason: str
    is_swap: bool = False


class Devices:
    """The names of one system, held against its disk; `disk` is what it calls that (`sda`)."""

    def __init__(self, reader: Reader, mentions: Iterable[Mention], disk: str) -> None:
        self._reader = reader
        self._survey = reader.survey
        self._disk = disk
        self._opened = {m.makes: m for m in mentions if m.makes}
        volumes = (lv for group in self._survey.groups for lv in group.volumes)
        self._unplaced = [lv for lv in volumes if lv.unusable]

    def named(self, device: str) -> tuple[Volume | Closed, ...]:
        """What of the disk a name means: none, one, or several that share it."""
        for _ in range(WAY_LIMIT):
            volumes = device_names.named(device, self._survey, self._disk)
            if volumes:
                return volumes
            name = device_names.parsed(device)
            for lv in self._unplaced:
                if name.kind == "mapped" and device_names.parsed(lv.mapper) == name:
                    return (Closed(lv.device, f"cannot be read: {lv.unusable}"),)
            opened = self._opening(device)
            if opened is None:
                break
            device = opened.device
        return ()

    def seen(self, found: Volume | Closed, options: Iterable[str]) -> Volume | Closed:
        """What a mount with these options shows of it, once it is seen that it can be read."""
        if isinstance(found, Closed):
            return found
        content = self._survey.volume(found.opened) if found.type == LUKS else found
        if content is None or content.type not in READABLE:
            return self._closed(content or found)
        try:
            view = mounted_with(content, options)
            if content.unreadable:
                raise BakeryError(content.unreadable)
            self._reader.directory(view, "/")
        except BakeryError as error:
            return Closed(found.device, f"cannot be read: {error.message}")
        return view

    def is_made_at_boot(self, device: str) -> bool:
        """Whether the system makes it anew each time, under a key of its own (crypttab(5))."""
        opened = self._opening(device)
        return opened is not None and not {"swap", "tmp"}.isdisjoint(opened.options)

    def may_be(self, device: str, reached: set[str]) -> Closed | None:
        """What on the disk a name that leads nowhere may be; None where nothing can be it.

        `reached` are the devices that are searched. What has a name of its own has no other; a
        partition table's names are all known, but for that of a table in a partition. What a
        system calls its disk may differ from one boot to the next, the partition's number does not.
        """
        name = device_names.parsed(device)
        closed, unreached = self._all_closed(reached), self._unreached(reached)
        if name.kind in ("partuuid", "partlabel"):
            tables = {v.device for v in self._survey.volumes if v.type == TABLE}
            found = [one for one in closed if one.device in tables]
        elif name.kind == "partition":
            wanted = f"{device_names.FIRST_DISK}{name.value}"
            found = [one for one in closed + unreached if one.device == wanted]
        elif name.kind in ("mapped", "unknown"):
            found = closed + unreached
        else:
            found = closed if name.kind != "none" else []
        return next(iter(found), None)

    def pools(self) -> Iterator[Closed]:
        """What mounts itself."""
        for volume in self._survey.volumes:
            if volume.type == POOL:
                yield self._closed(volume)

    def _opening(self, device: str) -> Mention | None:
        name = device_names.parsed(device)
        return self._opened.get(name.value if name.kind == "mapped" else device)

    def _closed(self, volume: Volume) -> Closed:
        reasons = {
            LUKS: "is encrypted (LUKS), and is not opened",
            TABLE: "has a partition table of its own, which is not looked into",
            "": "holds nothing that is recognised",
        }
        reason = reasons.get(volume.type, f"holds {volume.type}, which is not read here")
        return Closed(volume.device, reason, volume.type in SWAP_TYPES)

    def _all_closed(self, reached: set[str]) -> list[Closed]:
        """What may hold volumes that nobody here sees."""
        partitions = self._survey.table.partitions if self._survey.table else ()
        loaders = {p.device for p in partitions if p.type.upper() in OF_LOADERS}
        members = {p.device for p in partitions if self._is_member(p.number)}
        shown = {v.device for v in self._survey.volumes if v.type == LUKS and self._shows(v)}
        whole = {device_names.FIRST_DISK} if partitions or self._is_member(0) else set()
        apart = reached | loaders | members | shown | whole
        known = (*READABLE, *SWAP_TYPES, *PLAIN)
        found = [
            self._closed(volume)
            for volume in self._survey.volumes
            if volume.type not in known and volume.device not in apart
        ]
        lvs = [Closed(lv.device, f"cannot be read: {lv.unusable}") for lv in self._unplaced]
        return found + lvs

    def _is_member(self, number: int) -> bool:
        """Whether a partition, or the bare disk, belongs to a group whose volumes are known."""
        return any(number in group.partitions for group in self._survey.groups)

    def _shows(self, volume: Volume) -> bool:
        return self._survey.volume(volume.opened) is not None

    def _unreached(self, reached: set[str]) -> list[Closed]:
        return [
            Closed(volume.device, "is searched under no other name")
            for volume in self._survey.volumes
            if volume.type in READABLE and volume.device not in reached
        ]
