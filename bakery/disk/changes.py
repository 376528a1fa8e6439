"""Which bytes of a disk an overlay changes, read off the bytes themselves.

Nobody's word is taken for it: every cluster the overlay holds is compared with what the source
holds there.
"""

from collections.abc import Iterable
from pathlib import Path

from bakery.disk import nodes, qcow2_map
from bakery.disk.copy import read_range
from bakery.disk.extents import Extent, merged

SECTOR_BYTES = 512
WINDOW_GAP_BYTES = 1 << 20
# Differing bytes this near to each other are told as one range.
RANGE_GAP_BYTES = 64


def changed(source: nodes.Node, reads: Iterable[Path], overlay: Path, work: Path) -> list[Extent]:
    """The ranges of the disk in which `overlay` differs from `source`, sorted.

    `reads` are the source's files; `work` is a folder for scratch. Memory is bound by the
    largest run of clusters the overlay holds.
    """
    files = [*reads, overlay]
    over = nodes.overlay(overlay, source)
    ranges: list[Extent] = []
    with overlay.open("rb") as file:
        held = merged(qcow2_map.allocated(file), WINDOW_GAP_BYTES)
    for window in held:
        old = read_range(source, files, window, work)
        new = read_range(over, files, window, work)
        ranges += [Extent(window.offset + d.offset, d.length) for d in differing(old, new)]
    return list(merged(ranges, RANGE_GAP_BYTES))


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
