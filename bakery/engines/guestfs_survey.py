"""What a disk holds, as the tools inside the libguestfs appliance tell it.

The partition table comes from sfdisk --json and the filesystems from blkid -p, the same programs
the direct engine asks, so that both tell the same; LVM's metadata is read as bytes. They are run
by libguestfs' `debug sh`: its own part-* commands cost half a second each without KVM and are
silent about partitions that lie beyond the disk.

The kernel of the appliance may find its own disk before the image's: what a guestfish command
calls /dev/sda may be /dev/sdb in there. Only the name by label (guestfs(3), add_drive: label)
holds for a program run by `debug sh`.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from bakery.disk import lvm, partitions
from bakery.disk.extents import Extent
from bakery.disk.volumes import LVM_MEMBER, PartitionTable, Survey, Volume, VolumeGroup
from bakery.engines.guestfish import CommandRefused, Guestfish
from bakery.errors import BakeryError

DISK = "/dev/sda"
LABEL = "image"
BY_LABEL = f"/dev/disk/guestfs/{LABEL}"
# blkid(8), EXIT CODES: something, nothing, or more than one thing was recognised.
BLKID_CODES = ("0", "2", "8")
ENCODED = re.compile(rb"\\x([0-9a-fA-F]{2})")
BOOT_CODE_BYTES = 440
BLOCK_BYTES = 1 << 20
BLOCK_LIMIT = 64
NO_TABLE = "does not contain a recognized partition table"


def survey(fish: Guestfish, scratch: Path) -> Survey:
    """Ask a launched appliance about its one disk; BakeryError for a table not to be believed."""
    size = int(fish.ask("blockdev-getsize64", DISK))
    reader = _Reader(fish, scratch / "block", size)
    table = _table(fish, size)
    plain = list(_plain_volumes(fish, table, size))
    groups = tuple(_groups(reader, plain))
    mapped = tuple(_logical_volumes(fish, groups))
    boot_code = any(reader.read_at(0, BOOT_CODE_BYTES))
    return Survey(size, table, groups, (*plain, *mapped), boot_code=boot_code)


def _table(fish: Guestfish, size: int) -> PartitionTable | None:
    try:
        told = fish.ask("debug", "sh", f"sfdisk --json {BY_LABEL}")
    except CommandRefused as error:
        if NO_TABLE in error.message:
            return None
        raise
    return partitions.from_sfdisk(told.encode("utf-8", "surrogateescape"), size)


def _plain_volumes(fish: Guestfish, table: PartitionTable | None, size: int) -> Iterator[Volume]:
    """The partitions that can hold something, or the bare disk."""
    if table is None:
        yield _volume(fish, DISK, (Extent(0, size),))
        return
    for partition in table.partitions:
        if not partitions.is_extended(partition, table.label):
            place = Extent(partition.start_bytes, partition.size_bytes)
            yield _volume(fish, partition.device, (place,))


def _groups(reader: "_Reader", volumes: list[Volume]) -> Iterator[VolumeGroup]:
    for volume in volumes:
        if volume.type == LVM_MEMBER:
            (place,) = volume.place
            number = int(volume.device.removeprefix(DISK) or 0)
            group = lvm.read(reader.read_at, place.offset, place.length, number)
            if group is not None:
                yield group


def _logical_volumes(fish: Guestfish, groups: tuple[VolumeGroup, ...]) -> Iterator[Volume]:
    for group in groups:
        for lv in group.volumes:
            if not lv.unusable:
                place = tuple(Extent(s.disk_offset, s.length) for s in lv.segments)
                yield _volume(fish, lv.device, place)


def _volume(fish: Guestfish, device: str, place: tuple[Extent, ...]) -> Volume:
    told = _blkid(fish, device)
    return Volume(
        device=device,
        size_bytes=sum(extent.length for extent in place),
        place=place,
        type=told.get("ID_FS_TYPE", ""),
        uuid=told.get("ID_FS_UUID_ENC", ""),
        label=told.get("ID_FS_LABEL_ENC", ""),
    )


def _blkid(fish: Guestfish, device: str) -> dict[str, str]:
    """What blkid tells of a device; nothing where it finds nothing, or is of two minds."""
    inside = BY_LABEL + device.removeprefix(DISK) if device.startswith(DISK) else device
    answer = fish.ask("debug", "sh", f"blkid -p -o udev {shlex.quote(inside)}; echo EXIT=$?")
    told = _values(answer.encode("utf-8", "surrogateescape"))
    if told.get("EXIT") not in BLKID_CODES:
        raise BakeryError(f"blkid failed on {device} with exit code {told.get('EXIT')}")
    return told if told["EXIT"] == "0" else {}


def _values(printed: bytes) -> dict[str, str]:
    """`blkid -o udev`: KEY=VALUE lines; in the _ENC ones each unsafe byte is written `\\xNN`."""
    found: dict[str, str] = {}
    for line in printed.splitlines():
        key, _, value = line.partition(b"=")
        plain = ENCODED.sub(lambda match: bytes([int(match[1], 16)]), value)
        found[key.decode("ascii", "replace")] = plain.decode("utf-8", "replace")
    return found


class _Reader:
    """Reads the disk in blocks that are kept: LVM's label and metadata lie close together."""

    def __init__(self, fish: Guestfish, file: Path, size: int) -> None:
        self._fish = fish
        self._file = file
        self._size = size
        self._blocks: dict[int, bytes] = {}

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from `offset` on; fewer at its end."""
        end = min(offset + length, self._size)
        first, last = offset // BLOCK_BYTES, max(end - 1, offset) // BLOCK_BYTES
        joined = b"".join(self._block(number) for number in range(first, last + 1))
        start = offset - first * BLOCK_BYTES
        return joined[start : start + max(0, end - offset)]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if len(self._blocks) >= BLOCK_LIMIT:
                self._blocks.clear()
            self._blocks[number] = self._download(number * BLOCK_BYTES)
        return self._blocks[number]

    def _download(self, offset: int) -> bytes:
        length = max(0, min(BLOCK_BYTES, self._size - offset))
        if length == 0:
            return b""
        self._fish.ask("download-offset", DISK, str(self._file), str(offset), str(length))
        data = self._file.read_bytes()
        self._file.unlink()
        return data
