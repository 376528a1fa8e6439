"""A raw source: its ranges copied and all of it hashed, in one pass over its data.

Nothing in a raw disk is parsed to copy it, so this takes no cage. Where the filesystem lets files
share blocks (ioctl_ficlonerange(2): btrfs, xfs) what is data is not even written.
"""

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from bakery.disk import digest, extents
from bakery.disk.copy.confined_copy import (
    BLOCK,
    THREADS_LIMIT,
    TOLD_BYTES,
    Chunk,
    Writer,
    join,
    nonzero,
    read_ahead,
)
from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.extents import Extent, clipped, total

Progress = Callable[[int, int], None]
Landed = Callable[[Extent, dict[int, bytes] | None], None]

FICLONERANGE = 0x4020940D
_CLONE = struct.Struct("=qQQQ")


class _Piece(NamedTuple):
    """A range of the source, and the byte of the destination where it goes."""

    extent: Extent
    at: int


def copy(
    image: Path,
    ranges: Sequence[Extent],
    destination: Path,
    progress: Progress | None = None,
    landed: Landed | None = None,
    told_bytes: int = TOLD_BYTES,
) -> str:
    """Join `ranges` of a raw disk in `destination`, a file of that size that is all holes.

    The digest of all of the source, as `digest.fingerprint` tells it. `progress` and `landed` are
    those of `copy.copy_ranges`, called after `told_bytes` of data each.
    """
    with image.open("rb", buffering=0) as source:
        size = os.fstat(source.fileno()).st_size
        data = extents.merged(extents.of_file(source.fileno(), size))
        told = _Told(ranges, progress, landed, told_bytes)
        sum_of_all = hashlib.sha256() if total(data) == size else None
        chunks = digest.Chunks(size)
        pieces = digest.by_chunk(data)
        reader = _Reader(source.fileno(), size, pieces)
        writer = _Writer(source.fileno(), destination)
        for chunk in read_ahead(reader.read, sorted(pieces), reader.threads, reader.ahead):
            content = memoryview(chunk.content)[: reader.length(chunk.number)]
            chunks.take(chunk.number, bytes.fromhex(chunk.sha256))
            if sum_of_all is not None:
                sum_of_all.update(content)
            for piece in told.pieces:
                writer.put(chunk, piece)
            told.passed(chunk, content)
            content.release()
            reader.spare.put(chunk.content)
        told.end()
    return digest.PLAIN + sum_of_all.hexdigest() if sum_of_all is not None else chunks.digest()


class _Reader:
    """The source; `spare` are buffers, `ahead` is how many chunks are read before they are due."""

    def __init__(self, source: int, size: int, pieces: dict[int, list[Extent]]) -> None:
        self.threads = min(THREADS_LIMIT, len(os.sched_getaffinity(0)))
        self.ahead = 4 * self.threads
        self.spare: SimpleQueue[mmap.mmap] = SimpleQueue()
        for _ in range(self.ahead + 1):
            self.spare.put(mmap.mmap(-1, CHUNK_BYTES))
        self._source, self._size, self._pieces = source, size, pieces

    def length(self, number: int) -> int:
        """The bytes of a chunk: the last one may be shorter."""
        return min(CHUNK_BYTES, self._size - number * CHUNK_BYTES)

    def read(self, number: int) -> Chunk:
        """A chunk of the source with its sha256, and the runs of it that are not zeros."""
        begin, length = number * CHUNK_BYTES, self.length(number)
        data = digest.read_parts(self._source, begin, length, self._pieces[number])
        content = self.spare.get()
        content[:length] = data
        runs: list[tuple[int, int]] = []
        join(runs, nonzero(0, bytes(data)))
        return Chunk(number, content, hashlib.sha256(data).hexdigest(), runs)


class _Writer:
    """The destination: shared blocks where that is possible, else writes past the page cache."""

    def __init__(self, source: int, destination: Path) -> None:
        self._source = source
        self._plain = Writer(str(destination))
        self._shares = True

    def put(self, chunk: Chunk, piece: _Piece) -> None:
        """Bring what of a chunk lies in a piece to its place."""
        begin = chunk.number * CHUNK_BYTES
        for start, end in chunk.runs:
            for part in clipped([Extent(begin + start, end - start)], piece.extent):
                at = piece.at + part.offset - piece.extent.offset
                if not (self._shares and self._share(part, at)):
                    inside = part.offset - begin
                    view = memoryview(chunk.content)[inside : inside + part.length]
                    self._plain.put(view, at)

    def _share(self, part: Extent, at: int) -> bool:
        """Whether the blocks of a part can be shared; where once not, it is not tried again."""
        if part.offset % len(BLOCK) or part.length % len(BLOCK) or at % len(BLOCK):
            return False
        request = _CLONE.pack(self._source, part.offset, part.length, at)
        try:
            fcntl.ioctl(self._plain.buffered, FICLONERANGE, request)
        except OSError:
            self._shares = False
        return self._shares


class _Told:
    """Tells how much of the destination is complete, with the digests of its chunks if known.

    They are those of the source where both are cut into chunks at the same places.
    """

    def __init__(
        self,
        ranges: Sequence[Extent],
        progress: Progress | None,
        landed: Landed | None,
        told_bytes: int,
    ) -> None:
        self._told_bytes = told_bytes
        self.pieces = list(_placed(ranges))
        self._size = total(ranges)
        self._progress, self._landed = progress, landed
        in_order = all(a.extent.end <= b.extent.offset for a, b in pairwise(self.pieces))
        self._aligned = all((p.extent.offset - p.at) % CHUNK_BYTES == 0 for p in self.pieces)
        self._aligned &= all(p.at % CHUNK_BYTES == 0 for p in self.pieces) and in_order
        self._in_order = in_order
        self._digests: dict[int, bytes] = {}
        self._done = 0
        self._gathered = 0

    def passed(self, chunk: Chunk, content: memoryview) -> None:
        """The source is passed up to the end of this chunk."""
        begin = chunk.number * CHUNK_BYTES
        if self._aligned:
            self._note(chunk, content)
        self._gathered += sum(end - start for start, end in chunk.runs)
        if self._gathered >= self._told_bytes:
            self._tell(self._reached(begin + CHUNK_BYTES) if self._in_order else 0)

    def end(self) -> None:
        """All of the source is passed."""
        self._tell(self._size)

    def _note(self, chunk: Chunk, content: memoryview) -> None:
        begin = chunk.number * CHUNK_BYTES
        for piece in self.pieces:
            if piece.extent.offset <= begin < piece.extent.end:
                length = min(len(content), piece.extent.end - begin)
                known = bytes.fromhex(chunk.sha256)
                if length < len(content):
                    known = hashlib.sha256(content[:length]).digest()
                self._digests[(piece.at + begin - piece.extent.offset) // CHUNK_BYTES] = known

    def _reached(self, place: int) -> int:
        """The bytes of the destination that come from before that byte of the source."""
        reached = sum(min(p.extent.length, max(0, place - p.extent.offset)) for p in self.pieces)
        return reached if reached == self._size else reached // CHUNK_BYTES * CHUNK_BYTES

    def _tell(self, done: int) -> None:
        self._gathered = 0
        if done > self._done and self._landed:
            written = Extent(self._done, done - self._done)
            self._landed(written, self._digests if self._aligned else None)
            self._digests = {}
        self._done = max(done, self._done)
        if self._progress:
            self._progress(self._done, self._size)


def _placed(ranges: Sequence[Extent]) -> Iterator[_Piece]:
    at = 0
    for extent in ranges:
        yield _Piece(extent, at)
        at += extent.length


def takes(node: dict[str, object]) -> bool:
    """Whether the disk of a QEMU node is a raw file."""
    below = node.get("file")
    if node["driver"] != "raw" or set(node) - {"driver", "file"} or not isinstance(below, dict):
        return False
    return below.get("driver") == "file"
