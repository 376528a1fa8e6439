"""The names a block device goes by, and which volumes of a disk each of them means.

Forms: tags (mount(8), THE DEVICE SPECIFICATION; `PARTUUID=…/PARTNROFF=n`: init/do_mounts.c of the
kernel), udev's links (60-persistent-storage.rules, which write unsafe bytes as `\\xNN`), the
kernel's own names (Documentation/admin-guide/devices.txt), device-mapper's and LVM's (lvm(8)).

A name is no promise: partitions' numbers, UUIDs and labels are kept in the partition table and
are gone where a partition is taken out of it; a filesystem's own UUID and label go where it goes.
"""

import re
from typing import Literal, NamedTuple

from bakery.disk.volumes.volumes import Partition, Survey, Volume

Kind = Literal["uuid", "label", "partuuid", "partlabel", "partition", "mapped", "unknown", "none"]
"""`partition` is a partition by its number; `mapped` one of device-mapper; `unknown` a device that
could be anything, `none` no name of a disk's volume at all (a path, a network share, a word)."""

_TAGS: dict[str, Kind] = {
    "UUID": "uuid",
    "LABEL": "label",
    "PARTUUID": "partuuid",
    "PARTLABEL": "partlabel",
}
_LINKS: dict[str, Kind] = {f"/dev/disk/by-{kind}/": kind for kind in _TAGS.values()}
FIRST_DISK = "/dev/sda"
"""What a survey calls the disk."""
MAPPER = "/dev/mapper/"
_HARDWARE = ("/dev/disk/by-id/", "/dev/disk/by-path/", "/dev/disk/by-diskseq/", "ID=")
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")
_NUMBERED = re.compile(
    r"/dev/(?:((?:s|v|h|xv)d[a-z]+)([0-9]{0,3})|((?:nvme|mmcblk)[0-9]+(?:n[0-9]+)?)(?:p([0-9]{1,3}))?)"
)
_PART = re.compile(r".*-part([0-9]{1,3})")
_OFFSET = re.compile(r"(.+)/PARTNROFF=([0-9]{1,3})")
# Block devices that no image of a disk holds (Documentation/admin-guide/devices.txt).
_NO_DISK = re.compile(r"/dev/(?:zram|loop|ram|nbd|sr|scd|fd|floppy|cdrom|cdrw|dvd|dvdrw|shm)[0-9]*")
_LVM = re.compile(r"/dev/([^/]+)/([^/]+)")


class Name(NamedTuple):
    """A device's name taken apart; `disk` is the disk a partition's number is counted on."""

    kind: Kind
    value: str
    disk: str = ""


def parsed(text: str) -> Name:
    """What a name is, quotes around its value or the whole taken off; never an error."""
    text = text.strip('"')
    tag, equals, value = text.partition("=")
    if equals and tag in _TAGS:
        return Name(_TAGS[tag] if value.strip('"') else "none", value.strip('"'))
    for folder, kind in _LINKS.items():
        if text.startswith(folder):
            value = _unescaped(text.removeprefix(folder))
            return Name(kind if value else "none", value)
    if text.startswith(_HARDWARE):
        return _of_hardware(text)
    if text.startswith(MAPPER):
        return Name("mapped", text.removeprefix(MAPPER))
    numbered = _NUMBERED.fullmatch(text)
    if numbered:
        disk, number, other_disk, part = numbered.groups()
        return Name("partition", number or part or "0", disk or other_disk)
    if lvm := _LVM.fullmatch(text):
        return Name("mapped", mapper_name(lvm[1], lvm[2]))
    if not text.startswith("/dev/") or _NO_DISK.fullmatch(text):
        return Name("none", text)
    return Name("unknown", text)


def named(text: str, survey: Survey, own_disk: str = "") -> tuple[Volume, ...]:
    """The volumes of the disk that a name means: one; several that share it; or none.

    `own_disk` is what the system calls the disk (`sdb`), where that is known; otherwise the first
    disk of each kind is it.
    """
    name = parsed(text)
    partitions = {p.device: p for p in survey.table.partitions} if survey.table else {}
    if name.kind == "partuuid" and (behind := _OFFSET.fullmatch(name.value)):
        return _behind(behind[1], int(behind[2]), survey, partitions)
    if name.kind == "partition" and not _is_own(name.disk, own_disk):
        return ()
    found = (v for v in survey.volumes if _means(name, v, survey, partitions.get(v.device)))
    return tuple(found)


def is_of_a_disk(text: str) -> bool:
    """Whether a name may be a device's of a disk, or is a path, which lies on one."""
    name = parsed(text)
    path = text.startswith("/") and not text.startswith("/dev/")
    return path or name.kind != "none"


def disk_of(text: str) -> str:
    """The disk that a name counts its partition on (`sdb`); empty where it tells of none."""
    name = parsed(text)
    return name.disk if name.kind == "partition" else ""


def mapper_name(group: str, volume: str) -> str:
    """device-mapper's name of a logical volume: hyphens doubled (lvm(8), VALID NAMES)."""
    return "-".join(part.replace("-", "--") for part in (group, volume))


def _means(name: Name, volume: Volume, survey: Survey, partition: Partition | None) -> bool:
    """Whether a name means this volume, which may be a partition.

    What the kernel put together (an array, an opened LUKS) bears the kernel's name for it. The case
    of a UUID does not count, as it is hexadecimal; a label's does.
    """
    if name.kind == "uuid":
        return volume.uuid.lower() == name.value.lower()
    if name.kind == "label":
        return volume.label == name.value
    if name.kind == "partuuid":
        return partition is not None and _uuid(partition, survey) == name.value.lower()
    if name.kind == "partlabel":
        return partition is not None and partition.name == name.value
    if name.kind in ("mapped", "unknown"):  # of LVM, of LUKS, an array: all in their own name
        return parsed(volume.device) == name
    number = int(name.value) if name.kind == "partition" else -1
    return volume.device == (f"{FIRST_DISK}{number}" if number else FIRST_DISK)


def _behind(
    uuid: str, offset: int, survey: Survey, partitions: dict[str, Partition]
) -> tuple[Volume, ...]:
    """The partition whose number is that much higher than that of the one with this UUID."""
    first = next((p for p in partitions.values() if _uuid(p, survey) == uuid.lower()), None)
    number = first.number + offset if first else 0
    devices = {p.device for p in partitions.values() if p.number == number}
    return tuple(v for v in survey.volumes if v.device in devices)


def _uuid(partition: Partition, survey: Survey) -> str:
    """In lower case. In an MBR it is the disk's number and the partition's (init/do_mounts.c)."""
    if partition.uuid or survey.table is None:
        return partition.uuid.lower()
    return f"{survey.table.id.lower().removeprefix('0x')}-{partition.number:02x}"


def _is_own(disk: str, own_disk: str) -> bool:
    if own_disk or not disk:
        return disk in ("", own_disk)
    return disk in ("sda", "vda", "hda", "xvda") or disk.startswith(("nvme", "mmcblk"))


def _of_hardware(text: str) -> Name:
    """A name by the disk's make or its socket: device-mapper's, or a partition by its number."""
    name = text.removeprefix("ID=").rpartition("/")[2]
    if name.startswith("dm-name-"):
        return Name("mapped", _unescaped(name.removeprefix("dm-name-")))
    part = _PART.fullmatch(name)
    return Name("partition", part[1]) if part else Name("unknown", text)


def _unescaped(text: str) -> str:
    plain = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    return plain.decode("utf-8", "replace")
