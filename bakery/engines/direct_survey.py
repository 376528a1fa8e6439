"""What a disk holds, as sfdisk and blkid tell it from the plain file the image is shown as."""

import os
from collections.abc import Sequence

from bakery.disk import partitions
from bakery.disk.extents import Extent
from bakery.disk.volumes import PartitionTable, Survey, Volume
from bakery.engines.cell import Command, Output
from bakery.engines.grubfs import on_disk
from bakery.engines.survey import (
    BLKID,
    BOOT_CODE_BYTES,
    NO_TABLE,
    Found,
    groups,
    logical,
    partitioned,
    whole_disk,
)
from bakery.engines.view import View
from bakery.errors import BakeryError
from bakery.run import ending

SKETCH_BYTES = 2 << 20
"""How much of each end of a volume blkid looks at, and more (libblkid, superblocks/*.c)."""


def survey(view: View) -> Survey:
    """Ask about the disk that `view` shows.

    Raises BakeryError for a partition table or LVM metadata that cannot be believed.
    """
    asker = _Asker(view)
    whole = whole_disk(view.size_bytes)
    # The bare disk is asked about before it is known to be bare: it costs no time of its own.
    sfdisk = Command(["sfdisk", "--json", view.disk])
    listed, bare = view.cell.run_all([sfdisk, asker.blkid(whole)])
    table = _table(listed, view.size_bytes)
    if table:
        plain = asker.volumes(list(partitioned(table)))
    else:
        plain = [whole.holding(bare.returncode, bare.stdout)]
    found = tuple(groups(view.read, plain))
    mapped = asker.volumes(list(logical(found)))
    boot_code = any(view.read(0, BOOT_CODE_BYTES))
    return Survey(view.size_bytes, table, found, (*plain, *mapped), boot_code=boot_code)


class _Asker:
    """Asks blkid what volumes hold."""

    def __init__(self, view: View) -> None:
        self._view = view

    def volumes(self, found: Sequence[Found]) -> list[Volume]:
        """The volumes of all that was found."""
        outputs = self._view.cell.run_all([self.blkid(one) for one in found])
        return [
            one.holding(output.returncode, output.stdout)
            for one, output in zip(found, outputs, strict=True)
        ]

    def blkid(self, found: Found) -> Command:
        """The question what lies in a volume."""
        words = list(BLKID)
        if len(found.place) > 1:
            return Command([*words, self._sketch(found)])
        window = found.place[0]
        words += ["-O", str(window.offset), "-S", str(window.length)]
        return Command([*words, self._view.disk])

    def _sketch(self, found: Found) -> str:
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
