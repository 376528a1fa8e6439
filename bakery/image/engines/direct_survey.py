"""What a disk holds, as sfdisk and blkid tell it from the plain file the image is shown as."""

import os
from collections.abc import Sequence

import msgspec

from bakery.disk.formats import detect
from bakery.disk.volumes import btrfs, btrfs_files, gpt, partitions
from bakery.disk.volumes.volumes import PartitionTable, Survey, Volume
from bakery.host.errors import BakeryError
from bakery.host.run import ending
from bakery.image.engines.cell import Command, Output
from bakery.image.engines.survey import (
    BLKID,
    BOOT_CODE_BYTES,
    NO_TABLE,
    Found,
    groups,
    logical,
    partitioned,
    sized,
    whole_disk,
)
from bakery.image.engines.view import View

SKETCH_BYTES = 2 << 20
"""How much of each end of a volume blkid looks at, and more (libblkid, superblocks/*.c)."""


def survey(view: View) -> Survey:
    """Ask about the disk that `view` shows.

    Raises BakeryError for a partition table or LVM metadata that cannot be believed.
    """
    whole = whole_disk(view.size_bytes)
    # The bare disk is asked about before it is known to be bare: it costs no time of its own.
    sfdisk = Command(["sfdisk", "--json", view.disk])
    listed, bare = view.cell.run_all([sfdisk, _blkid(view, whole)])
    table = _table(listed, view)
    if table:
        plain = _volumes(view, list(partitioned(table)))
    else:
        plain = [_with_subvolumes(view, whole.holding(bare.returncode, bare.stdout))]
    found = tuple(groups(view.read, plain))
    mapped = _volumes(view, list(logical(found)))
    volumes = tuple(sized(volume, view.read) for volume in (*plain, *mapped))
    boot_code = any(view.read(0, BOOT_CODE_BYTES))
    return Survey(view.size_bytes, table, found, volumes, boot_code=boot_code)


def _volumes(view: View, found: Sequence[Found]) -> list[Volume]:
    """The volumes of all that was found, by what blkid tells of them."""
    outputs = view.cell.run_all([_blkid(view, one) for one in found])
    return [
        _with_subvolumes(view, one.holding(output.returncode, output.stdout))
        for one, output in zip(found, outputs, strict=True)
    ]


def _with_subvolumes(view: View, volume: Volume) -> Volume:
    """The volume, with its subvolumes where it is a btrfs."""
    if volume.type != btrfs.TYPE:
        return volume
    try:
        found = btrfs_files.Files(view.reader(volume.place)).subvolumes()
    except BakeryError as error:
        return msgspec.structs.replace(volume, unreadable=error.message)
    return msgspec.structs.replace(volume, subvolumes=found)


def _blkid(view: View, found: Found) -> Command:
    """The question what lies in a volume."""
    if len(found.place) > 1:
        return Command([*BLKID, _sketch(view, found)])
    window = found.place[0]
    return Command([*BLKID, "-O", str(window.offset), "-S", str(window.length), view.disk])


def _sketch(view: View, found: Found) -> str:
    """A file of the volume's size that holds its two ends: its pieces lie apart."""
    path, descriptor = view.make()
    try:
        os.ftruncate(descriptor, found.size_bytes)
        length = min(SKETCH_BYTES, found.size_bytes)
        for offset in (0, found.size_bytes - length):
            os.pwrite(descriptor, view.reader(found.place)(offset, length), offset)
    finally:
        os.close(descriptor)
    return path


def _table(listed: Output, view: View) -> PartitionTable | None:
    size_bytes = view.size_bytes
    sector_bytes = gpt.sector_bytes(view.read, size_bytes)
    if sector_bytes != gpt.USUAL_SECTOR_BYTES:
        return partitions.believed(gpt.read(view.read, size_bytes, sector_bytes), size_bytes)
    if listed.returncode == 0:
        return partitions.from_sfdisk(listed.stdout, size_bytes, view.read(0, detect.HEAD_BYTES))
    if NO_TABLE in listed.complaint:
        return None
    raise BakeryError(f"sfdisk {ending(listed.returncode)}: {listed.complaint}")
