"""What a disk holds, as sfdisk and blkid tell it from the plain file the image is shown as."""

import os
import re
from collections.abc import Iterator, Sequence

from bakery.disk import lvm, partitions
from bakery.disk.extents import Extent
from bakery.disk.volumes import LVM_MEMBER, PartitionTable, Survey, Volume, VolumeGroup
from bakery.engines.cell import Cell, Command, Output
from bakery.errors import BakeryError
from bakery.run import ending

DISK = "/dev/sda"
BOOT_CODE_BYTES = 440
NO_TABLE = "does not contain a recognized partition table"
# blkid(8), EXIT CODES: nothing was recognised; more than one thing was.
BLKID_NOTHING = 2
BLKID_AMBIVALENT = 8
ENCODED = re.compile(rb"\\x([0-9a-fA-F]{2})")

Found = tuple[str, tuple[Extent, ...]]
"""A volume's device name and its place on the disk."""


def survey(cell: Cell, disk: str, descriptor: int, size_bytes: int) -> Survey:
    """Ask about the disk shown as `disk`, which `descriptor` reads.

    Raises BakeryError for a partition table or LVM metadata that cannot be believed.
    """
    whole: Found = (DISK, (Extent(0, size_bytes),))
    # The bare disk is asked about before it is known to be bare: it costs no time of its own.
    listed, bare = cell.run_all([Command(["sfdisk", "--json", disk]), _blkid(disk, whole)])
    table = _table(listed, size_bytes)
    partitioned = _volumes(cell, disk, list(_places(table))) if table else []
    plain = partitioned if table else [_volume(whole, bare)]
    groups = tuple(_groups(descriptor, plain))
    mapped = _volumes(cell, disk, list(_logical_places(groups)))
    boot_code = any(os.pread(descriptor, BOOT_CODE_BYTES, 0))
    return Survey(size_bytes, table, groups, (*plain, *mapped), boot_code=boot_code)


def _table(listed: Output, size_bytes: int) -> PartitionTable | None:
    if listed.returncode == 0:
        return partitions.from_sfdisk(listed.stdout, size_bytes)
    if NO_TABLE in listed.complaint:
        return None
    raise BakeryError(f"sfdisk {ending(listed.returncode)}: {listed.complaint}")


def _places(table: PartitionTable) -> Iterator[Found]:
    """The partitions that can hold something."""
    for partition in table.partitions:
        if not partitions.is_extended(partition, table.label):
            yield partition.device, (Extent(partition.start_bytes, partition.size_bytes),)


def _groups(descriptor: int, volumes: Sequence[Volume]) -> Iterator[VolumeGroup]:
    def read_at(offset: int, length: int) -> bytes:
        return os.pread(descriptor, length, offset)

    for volume in volumes:
        if volume.type == LVM_MEMBER:
            (place,) = volume.place
            number = int(volume.device.removeprefix(DISK) or 0)
            group = lvm.read(read_at, place.offset, place.length, number)
            if group is not None:
                yield group


def _logical_places(groups: Sequence[VolumeGroup]) -> Iterator[Found]:
    for group in groups:
        for lv in group.volumes:
            if not lv.unusable:
                yield lv.device, tuple(Extent(s.disk_offset, s.length) for s in lv.segments)


def _volumes(cell: Cell, disk: str, found: Sequence[Found]) -> list[Volume]:
    outputs = cell.run_all([_blkid(disk, one) for one in found])
    return [_volume(one, output) for one, output in zip(found, outputs, strict=True)]


def _blkid(disk: str, found: Found) -> Command:
    """Ask what lies in a volume; of one in several pieces, what lies at its beginning."""
    first = found[1][0]
    window = ["-O", str(first.offset), "-S", str(first.length)]
    return Command(["blkid", "-p", "-o", "udev", *window, disk])


def _volume(found: Found, output: Output) -> Volume:
    device, place = found
    if output.returncode not in (0, BLKID_NOTHING, BLKID_AMBIVALENT):
        raise BakeryError(f"blkid {ending(output.returncode)} on {device}: {output.complaint}")
    told = _values(output.stdout) if output.returncode == 0 else {}
    return Volume(
        device=device,
        size_bytes=sum(extent.length for extent in place),
        place=place,
        type=told.get("ID_FS_TYPE", ""),
        uuid=told.get("ID_FS_UUID_ENC", ""),
        label=told.get("ID_FS_LABEL_ENC", ""),
    )


def _values(printed: bytes) -> dict[str, str]:
    """`blkid -o udev`: KEY=VALUE lines; in the _ENC ones each unsafe byte is written `\\xNN`."""
    found: dict[str, str] = {}
    for line in printed.splitlines():
        key, _, value = line.partition(b"=")
        plain = ENCODED.sub(lambda match: bytes([int(match[1], 16)]), value)
        found[key.decode("ascii", "replace")] = plain.decode("utf-8", "replace")
    return found
