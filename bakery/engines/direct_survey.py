"""What a disk holds, as sfdisk and blkid tell it from the plain file the image is shown as."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bakery.disk import lvm, partitions
from bakery.disk.extents import Extent
from bakery.disk.volumes import LVM_MEMBER, PartitionTable, Survey, Volume, VolumeGroup
from bakery.engines.cell import Command, Output
from bakery.engines.grubfs import on_disk
from bakery.engines.view import View
from bakery.errors import BakeryError
from bakery.run import ending

DISK = "/dev/sda"
BOOT_CODE_BYTES = 440
NO_TABLE = "does not contain a recognized partition table"
# blkid(8), EXIT CODES: nothing was recognised; more than one thing was.
BLKID_NOTHING = 2
BLKID_AMBIVALENT = 8
ENCODED = re.compile(rb"\\x([0-9a-fA-F]{2})")

SKETCH_BYTES = 2 << 20
"""How much of each end of a volume blkid looks at, and more (libblkid, superblocks/*.c)."""


@dataclass(frozen=True)
class _Found:
    """A volume before it is known what it holds: its device name, its place on the disk."""

    device: str
    place: tuple[Extent, ...]

    @property
    def size_bytes(self) -> int:
        return sum(extent.length for extent in self.place)


def survey(view: View) -> Survey:
    """Ask about the disk that `view` shows.

    Raises BakeryError for a partition table or LVM metadata that cannot be believed.
    """
    asker = _Asker(view)
    whole = _Found(DISK, (Extent(0, view.size_bytes),))
    # The bare disk is asked about before it is known to be bare: it costs no time of its own.
    sfdisk = Command(["sfdisk", "--json", view.disk])
    listed, bare = view.cell.run_all([sfdisk, asker.blkid(whole)])
    table = _table(listed, view.size_bytes)
    partitioned = asker.volumes(list(_places(table))) if table else []
    plain = partitioned if table else [_volume(whole, bare)]
    groups = tuple(_groups(view, plain))
    mapped = asker.volumes(list(_logical_places(groups)))
    boot_code = any(view.read(0, BOOT_CODE_BYTES))
    return Survey(view.size_bytes, table, groups, (*plain, *mapped), boot_code=boot_code)


class _Asker:
    """Asks blkid what volumes hold."""

    def __init__(self, view: View) -> None:
        self._view = view

    def volumes(self, found: Sequence[_Found]) -> list[Volume]:
        """The volumes of all that was found."""
        outputs = self._view.cell.run_all([self.blkid(one) for one in found])
        return [_volume(one, output) for one, output in zip(found, outputs, strict=True)]

    def blkid(self, found: _Found) -> Command:
        """The question what lies in a volume."""
        words = ["blkid", "-p", "-o", "udev"]
        if len(found.place) > 1:
            return Command([*words, self._sketch(found)])
        window = found.place[0]
        words += ["-O", str(window.offset), "-S", str(window.length)]
        return Command([*words, self._view.disk])

    def _sketch(self, found: _Found) -> str:
        """A file of the volume's size that holds its two ends: its pieces lie apart."""
        path, descriptor = self._view.make()
        try:
            os.ftruncate(descriptor, found.size_bytes)
            length = min(SKETCH_BYTES, found.size_bytes)
            for offset in (0, found.size_bytes - length):
                pieces = on_disk([Extent(offset, length)], found.place)
                data = b"".join(self._view.read(p.offset, p.length) for p in pieces)
                os.pwrite(descriptor, data, offset)
        finally:
            os.close(descriptor)
        return path


def _table(listed: Output, size_bytes: int) -> PartitionTable | None:
    if listed.returncode == 0:
        return partitions.from_sfdisk(listed.stdout, size_bytes)
    if NO_TABLE in listed.complaint:
        return None
    raise BakeryError(f"sfdisk {ending(listed.returncode)}: {listed.complaint}")


def _places(table: PartitionTable) -> Iterator[_Found]:
    """The partitions that can hold something."""
    for partition in table.partitions:
        if not partitions.is_extended(partition, table.label):
            place = Extent(partition.start_bytes, partition.size_bytes)
            yield _Found(partition.device, (place,))


def _groups(view: View, volumes: Sequence[Volume]) -> Iterator[VolumeGroup]:
    for volume in volumes:
        if volume.type == LVM_MEMBER:
            (place,) = volume.place
            number = int(volume.device.removeprefix(DISK) or 0)
            group = lvm.read(view.read, place.offset, place.length, number)
            if group is not None:
                yield group


def _logical_places(groups: Sequence[VolumeGroup]) -> Iterator[_Found]:
    for group in groups:
        for lv in group.volumes:
            if not lv.unusable:
                place = tuple(Extent(s.disk_offset, s.length) for s in lv.segments)
                yield _Found(lv.device, place)


def _volume(found: _Found, output: Output) -> Volume:
    if output.returncode not in (0, BLKID_NOTHING, BLKID_AMBIVALENT):
        raise BakeryError(
            f"blkid {ending(output.returncode)} on {found.device}: {output.complaint}"
        )
    told = _values(output.stdout) if output.returncode == 0 else {}
    return Volume(
        device=found.device,
        size_bytes=found.size_bytes,
        place=found.place,
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
