"""Packing a raw image while it grows: zstd frames, their index, and a block map, in one reading.

The image is read where it has data alone. Chunks are hashed and compressed on all cores and written
in order by whoever calls, with a bounded number of them in memory.
"""

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bakery.disk import extents
from bakery.disk.copy.changes import Change
from bakery.disk.digest import CHUNK_BYTES, Chunks, by_chunk, read_parts
from bakery.disk.extents import Extent
from bakery.disk.packed import bmap
from bakery.disk.packed.frames import Destination, FrameWriter, pack
from bakery.disk.packed.packed_index import Index, PackedChunk
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool

Progress = Callable[[int, int], None]


class _Chunk(NamedTuple):
    """A chunk that was read: where its data lies in the image, and the frame made of it."""

    number: int
    content: bytes
    data: list[Extent]
    sha256: bytes
    packed: bytes
    frame_digest: bytes


class Packer:
    """Packs an image of `size_bytes` into `destination`, range by range, in order.

    `edits` go over what is read, by offset in the image: they may be there already or not.
    """

    def __init__(
        self,
        source: BinaryIO,
        size_bytes: int,
        destination: Destination,
        edits: Iterable[Change] = (),
    ) -> None:
        self._source = source.fileno()
        self._size = size_bytes
        self._edits = tuple(edits)
        self._frames = FrameWriter(destination)
        self._blocks = _Blocks()
        self._digests = Chunks(size_bytes)
        self._index: list[PackedChunk] = []
        self._begun = 0  # the first byte that no thread was given yet
        self._done = 0  # the first byte that is not in the frames
        threads = os.cpu_count() or 1
        self._ahead = 4 * threads
        self._pool = Pool(threads)
        self._running: deque[Future[_Chunk]] = deque()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    def take(self, end: int, progress: Progress | None = None) -> None:
        """The image is complete up to byte `end`: pack the chunks that lie before it."""
        whole = end if end == self._size else end - end % CHUNK_BYTES
        window = Extent(self._begun, max(0, whole - self._begun))
        data = [*extents.of_file(self._source, window.end, window.offset)]
        data += extents.clipped([edit.extent for edit in self._edits], window)
        found = extents.merged(data)
        for number, parts in by_chunk(found).items():
            self._running.append(self._pool.submit(self._read, number, parts))
            if len(self._running) >= self._ahead:
                self._write(self._running.popleft().result())
                if progress:
                    progress(self._done, self._size)
        self._begun = max(self._begun, whole)

    def finish(self) -> tuple[Index, bytes]:
        """All of the image was taken: the index, and the block map's text."""
        if self._begun != self._size:
            raise BakeryError(f"{self._begun} of {self._size} bytes were packed")
        while self._running:
            self._write(self._running.popleft().result())
        self._frames.zeros(self._size - self._done)
        packed_bytes = self._frames.finish()
        index = Index(
            size_bytes=self._size,
            digest=self._digests.digest(),
            packed_bytes=packed_bytes,
            chunks=tuple(self._index),
        )
        return index, bmap.text(self._size, self._blocks.finish())

    def _read(self, number: int, data: list[Extent]) -> _Chunk:
        start = number * CHUNK_BYTES
        content = read_parts(self._source, start, min(CHUNK_BYTES, self._size - start), data)
        for edit in self._edits:
            for part in extents.clipped([edit.extent], Extent(start, len(content))):
                new = edit.data[part.offset - edit.extent.offset : part.end - edit.extent.offset]
                content[part.offset - start : part.end - start] = new
        whole = bytes(content)
        packed = pack(whole)
        digests = hashlib.sha256(whole).digest(), hashlib.new("sha512_256", packed).digest()
        return _Chunk(number, whole, data, digests[0], packed, digests[1])

    def _write(self, chunk: _Chunk) -> None:
        start = chunk.number * CHUNK_BYTES
        self._frames.zeros(start - self._done)
        frame = self._frames.data(chunk.packed, len(chunk.content))
        self._digests.take(chunk.number, chunk.sha256)
        place = (chunk.number, frame.offset, frame.length)
        self._index.append(PackedChunk(*place, chunk.sha256.hex(), chunk.frame_digest.hex()))
        for part in chunk.data:
            self._blocks.take(start, chunk.content, part)
        self._done = start + len(chunk.content)


def pack_file(
    image: Path, destination: Destination, progress: Progress | None = None
) -> tuple[Index, bytes]:
    """Pack an image that is complete: its index, and the block map's text."""
    size = image.stat().st_size
    with (
        image.open("rb", buffering=0) as source,
        contextlib.closing(Packer(source, size, destination)) as packer,
    ):
        packer.take(size, progress)
        return packer.finish()


class _Blocks:
    """The block map's ranges, hashed from chunks in order."""

    def __init__(self) -> None:
        self._ranges: list[bmap.Range] = []
        self._first = self._next = 0
        self._sha256: Any = None

    def take(self, start: int, content: bytes, part: Extent) -> None:
        """The blocks that `part` touches hold data; `content` begins at byte `start`."""
        first = max(part.offset // bmap.BLOCK_BYTES, self._next)
        end = -(-part.end // bmap.BLOCK_BYTES)
        if end <= first:
            return
        if self._sha256 is None or first > self._next:
            self._close()
            self._first, self._sha256 = first, hashlib.sha256()
        place = slice(first * bmap.BLOCK_BYTES - start, end * bmap.BLOCK_BYTES - start)
        self._sha256.update(memoryview(content)[place])
        self._next = end

    def finish(self) -> list[bmap.Range]:
        """All ranges."""
        self._close()
        return self._ranges

    def _close(self) -> None:
        if self._sha256 is not None:
            one = bmap.Range(self._first, self._next - 1, self._sha256.hexdigest())
            self._ranges.append(one)
