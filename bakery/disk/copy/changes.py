"""Which bytes of a disk an overlay changes, read off the bytes themselves.

Nobody's word is taken for it: every cluster the overlay holds is compared with what the source
holds there.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bakery.disk import blockdevs
from bakery.disk.copy.copy import read_range
from bakery.disk.digest import CHUNK_BYTES, by_chunk
from bakery.disk.extents import Extent, clipped, merged, of_file
from bakery.disk.formats import qcow2_map

SECTOR_BYTES = 512
WINDOW_GAP_BYTES = 1 << 20
# Differing bytes this near to each other are told as one range.
RANGE_GAP_BYTES = 64


class Change(NamedTuple):
    """A range of the disk, and the bytes an overlay puts there."""

    extent: Extent
    data: bytes


def changed(
    source: blockdevs.BlockDevice, reads: Iterable[Path], overlay: Path, work: Path
) -> list[Change]:
    """The ranges of the disk in which `overlay` differs from `source`, sorted.

    `reads` are the source's files; `work` is a folder for scratch. Memory is bound by the
    largest run of clusters the overlay holds.
    """
    files = [*reads, overlay]
    over = blockdevs.overlay(overlay, source)
    found: list[Change] = []
    with overlay.open("rb") as file:
        held = merged(qcow2_map.allocated(file), WINDOW_GAP_BYTES)
    for window in held:
        old = read_range(source, files, window, work)
        new = read_range(over, files, window, work)
        for run in merged(differing(old, new), RANGE_GAP_BYTES):
            place = Extent(window.offset + run.offset, run.length)
            found.append(Change(place, new[run.offset : run.end]))
    return found


def placed(change: Change, place: Iterable[Extent]) -> Iterator[Change]:
    """The parts of a change that lie in a volume, at their offsets in the volume.

    The volume is the ranges of `place` joined in order.
    """
    start = 0
    for piece in place:
        for part in clipped([change.extent], piece):
            first = part.offset - change.extent.offset
            data = change.data[first : first + part.length]
            yield Change(Extent(part.offset - piece.offset + start, part.length), data)
        start += piece.length


def differing(old: bytes, new: bytes) -> list[Extent]:
    """The ranges in which two strings of one length differ, to the byte."""
    ranges: list[Extent] = []
    for start in range(0, len(old), SECTOR_BYTES):
        before, after = old[start : start + SECTOR_BYTES], new[start : start + SECTOR_BYTES]
        if before != after:
            ranges += [
                Extent(start + i, 1)
                for i, (a, b) in enumerate(zip(before, after, strict=True))
                if a != b
            ]
    return list(merged(ranges))


def between(old: Path, new: Path) -> list[Change]:
    """The ranges in which two files of one size differ; what neither holds data in is not read."""
    found: list[Change] = []
    with old.open("rb", buffering=0) as one, new.open("rb", buffering=0) as other:
        data = merged([*of_file(one.fileno()), *of_file(other.fileno())])
        for number in by_chunk(data):
            start = number * CHUNK_BYTES
            before, after = (os.pread(f.fileno(), CHUNK_BYTES, start) for f in (one, other))
            for run in merged(differing(before, after), RANGE_GAP_BYTES):
                place = Extent(start + run.offset, run.length)
                found.append(Change(place, after[run.offset : run.end]))
    return found
