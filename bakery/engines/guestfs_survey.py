"""What a disk holds, as the tools inside the libguestfs appliance tell it.

The partition table comes from sfdisk --json and the filesystems from blkid -p, the same programs
the direct engine asks, so that both tell the same; LVM's metadata is read as bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from bakery.disk import lvm, partitions
from bakery.disk.extents import Extent
from bakery.disk.volumes import LVM_MEMBER, PartitionTable, Survey, Volume, VolumeGroup
from bakery.engines.guestfish import Guestfish, GuestfishEnded, GuestfishError

DISK = "/dev/sda"
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
    # `debug sh` runs a command in the appliance. libguestfs' own part-* commands cost half a
    # second each without KVM, and are silent about partitions that lie beyond the disk.
    try:
        told = fish.ask("debug", "sh", f"sfdisk --json {DISK}")
    except GuestfishEnded:
        raise
    except GuestfishError as error:
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
        type=told.get("TYPE", ""),
        uuid=told.get("UUID", ""),
        label=told.get("LABEL", ""),
    )


def _blkid(fish: Guestfish, device: str) -> dict[str, str]:
    """What blkid -p tells of a device; nothing where it is of two minds, or finds nothing."""
    try:
        answer = fish.ask("blkid", device)
    except GuestfishEnded:
        raise
    except GuestfishError:
        return {}
    pairs = (line.partition(": ") for line in answer.splitlines())
    return {key: value for key, _, value in pairs}


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
