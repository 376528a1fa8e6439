"""Extents: where a file or a disk holds data; everything else reads as zero.

An extent list is sorted and non-overlapping. All copying, hashing, sending and writing goes by
extents, so zeros are never read.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator

import msgspec

ReadAt = Callable[[int, int], bytes]
"""(offset, length) in bytes of a disk or a volume → those bytes; fewer at its end."""


class Extent(msgspec.Struct, frozen=True, order=True, array_like=True):
    """`length` bytes from byte `offset` on. In JSON: `[offset, length]`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte behind the extent."""
        return self.offset + self.length


def merged(extents: Iterable[Extent], gap: int = 0) -> tuple[Extent, ...]:
    """Sorted and joined where two touch, overlap or lie at most `gap` bytes apart."""
    result: list[Extent] = []
    for extent in sorted(extents):
        if extent.length <= 0:
            continue
        if result and extent.offset <= result[-1].end + gap:
            last = result[-1]
            result[-1] = Extent(last.offset, max(last.end, extent.end) - last.offset)
        else:
            result.append(extent)
    return tuple(result)


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """Neighbours that touch, in this order, as one."""
    result: list[Extent] = []
    for extent in extents:
        if result and result[-1].end == extent.offset:
            result[-1] = Extent(result[-1].offset, result[-1].length + extent.length)
        else:
            result.append(extent)
    return result


def total(extents: Iterable[Extent]) -> int:
    """The bytes that `extents` hold."""
    return sum(extent.length for extent in extents)


def clipped(extents: Iterable[Extent], window: Extent) -> tuple[Extent, ...]:
    """The parts of `extents` inside `window`, at their old offsets."""
    parts = (
        Extent(max(e.offset, window.offset), min(e.end, window.end) - max(e.offset, window.offset))
        for e in extents
    )
    return tuple(part for part in parts if part.length > 0)


def translated(extents: Iterable[Extent], place: Iterable[Extent]) -> tuple[Extent, ...]:
    """Disk extents as a volume sees them, the volume being the ranges of `place` joined in order.

    The parts of `extents` that lie outside the volume are left out.
    """
    known = list(extents)
    result: list[Extent] = []
    start = 0
    for piece in place:
        result += [
            Extent(part.offset - piece.offset + start, part.length)
            for part in clipped(known, piece)
        ]
        start += piece.length
    return merged(result)


def of_file(descriptor: int, size: int | None = None, start: int = 0) -> Iterator[Extent]:
    """The data extents of an open file from byte `start` up to `size` (lseek(2), SEEK_DATA)."""
    end = os.fstat(descriptor).st_size if size is None else size
    position = start
    while position < end:
        try:
            data = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        position = min(os.lseek(descriptor, data, os.SEEK_HOLE), end)
        if position > data:
            yield Extent(data, position - data)
