"""What sfdisk, blkid and LVM's metadata say of a disk, read the same way for both engines.

The engines differ in how they get the programs to look at the disk; what the answers mean is here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from bakery.disk.extents import Extent, ReadAt, total
from bakery.disk.volumes import filesystem_size, lvm, partitions
from bakery.disk.volumes.volumes import LVM_MEMBER, TABLE, PartitionTable, Volume, VolumeGroup
from bakery.host.errors import BakeryError
from bakery.image.engines.grubfs import on_disk

DISK = "/dev/sda"
BOOT_CODE_BYTES = 440
NO_TABLE = "does not contain a recognized partition table"
BLKID = ("blkid", "-p", "-o", "udev")
# blkid(8), EXIT CODES: something was recognised; nothing; more than one thing.
BLKID_FOUND = 0
BLKID_CODES = (BLKID_FOUND, 2, 8)
ENCODED = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Found:
    """A volume before it is known what it holds: its device name, its place on the disk."""

    device: str
    place: tuple[Extent, ...]
    mapped_bytes: int = 0
    """Its size where it has no place: only a kernel puts it together."""

    @property
    def size_bytes(self) -> int:
        """Its size in bytes."""
        return self.mapped_bytes or total(self.place)

    def holding(self, returncode: int, printed: bytes) -> Volume:
        """The volume, by what blkid answered about it; BakeryError where that is no answer."""
        if returncode not in BLKID_CODES:
            raise BakeryError(f"blkid failed on {self.device} with exit code {returncode}")
        told = _values(printed) if returncode == BLKID_FOUND else {}
        is_disk = "ID_PART_TABLE_TYPE" in told and self.device != DISK
        return Volume(
            device=self.device,
            size_bytes=self.size_bytes,
            place=self.place,
            type=told.get("ID_FS_TYPE", TABLE if is_disk else ""),
            uuid=told.get("ID_FS_UUID_ENC", ""),
            label=told.get("ID_FS_LABEL_ENC", ""),
        )


def whole_disk(size_bytes: int) -> Found:
    """The bare disk as a volume."""
    return Found(DISK, (Extent(0, size_bytes),))


def partitioned(table: PartitionTable) -> Iterator[Found]:
    """The partitions that can hold something."""
    for partition in table.partitions:
        if not partitions.is_extended(partition, table.label):
            place = Extent(partition.start_bytes, partition.size_bytes)
            yield Found(partition.device, (place,))


def groups(read_at: ReadAt, volumes: Iterable[Volume]) -> list[VolumeGroup]:
    """The volume groups on physical volumes among `volumes`; `read_at` reads the disk."""
    physical = [volume for volume in volumes if volume.type == LVM_MEMBER]
    numbers = [int(volume.device.removeprefix(DISK) or 0) for volume in physical]
    return lvm.read(read_at, zip(numbers, (v.place[0] for v in physical), strict=True))


def logical(found: Iterable[VolumeGroup]) -> Iterator[Found]:
    """The logical volumes whose bytes can be placed."""
    for group in found:
        for lv in group.volumes:
            if not lv.unusable:
                place = tuple(Extent(s.disk_offset, s.length) for s in lv.segments)
                yield Found(lv.device, place)


def sized(volume: Volume, read_at: ReadAt) -> Volume:
    """The volume with the size that its filesystem tells of; `read_at` reads the disk."""
    if not volume.place:
        return volume

    def read_volume(offset: int, length: int) -> bytes:
        length = min(length, max(0, volume.size_bytes - offset))
        pieces = on_disk([Extent(offset, length)], volume.place)
        return b"".join(read_at(piece.offset, piece.length) for piece in pieces)

    size = filesystem_size.read(volume.type, read_volume)
    return msgspec.structs.replace(volume, filesystem_bytes=size) if size else volume


def _values(printed: bytes) -> dict[str, str]:
    """`blkid -o udev`: KEY=VALUE lines; in the _ENC ones each unsafe byte is written `\\xNN`."""
    found: dict[str, str] = {}
    for line in printed.splitlines():
        key, _, value = line.partition(b"=")
        plain = ENCODED.sub(lambda match: bytes([int(match[1], 16)]), value)
        found[key.decode("ascii", "replace")] = plain.decode("utf-8", "replace")
    return found
