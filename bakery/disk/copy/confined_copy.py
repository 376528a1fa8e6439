"""A program of its own, run inside the cage: ranges of a qcow2 image into a sparse raw file.

    python3 -I -S confined_copy.py [PACKAGES:...] IMAGE DESTINATION < RANGES

PACKAGES are folders to import from. RANGES is a JSON list of `[offset, length]` in bytes of the
disk, joined in the destination, a file that is there, has its size and reads as zeros. Lines on
standard output tell, in the order of the destination:

    chunk NUMBER HEX    the sha256 of a chunk of 1 MiB that has data; those left out are zeros
    done BYTES          all of the destination before this byte is complete

Clusters are inflated and hashed on all cores, and written by one thread: qemu-img takes more than
twice the processor time for the same (docs/performance.md). Source of the format: QEMU,
docs/interop/qcow2.txt, "Cluster mapping" and "Compressed Clusters Descriptor".
"""

import errno
import itertools
import json
import mmap
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor  # noqa: TID251
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import BinaryIO

    from bakery.disk.extents import Extent
    from bakery.disk.formats.qcow2 import Header
    from bakery.disk.formats.qcow2_map import Cluster

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
"""What a thread copies at a time, aligned in the destination: what a digest is made of."""
TOLD_BYTES = 32 << 20
"""Data between two lines that tell how far it is."""
THREADS_LIMIT = 8
BLOCK = bytes(4096)
"""Zeros of this length and place become holes, as qemu-img's `-S 4k` has it."""
DEFLATE_BITS = -12  # raw deflate with a window of 4 KiB
ZEROS = memoryview(bytes(CHUNK_BYTES))


class Part(NamedTuple):
    """The bytes from `skip` up to `end` of a cluster go to byte `at` of the destination."""

    cluster: "Cluster"
    skip: int
    end: int
    at: int


class Chunk(NamedTuple):
    """A chunk that was read: its bytes, their sha256, and the ranges that are not all zeros."""

    number: int
    content: mmap.mmap
    sha256: str
    runs: list[tuple[int, int]]


class Reader:
    """The image, shared by all threads; `size` is the destination's, `spare` are buffers."""

    def __init__(
        self, image: "BinaryIO", header: "Header", size: int, spare: "SimpleQueue[mmap.mmap]"
    ) -> None:
        import hashlib

        from isal import isal_zlib

        self._sha256 = hashlib.sha256
        self._inflater = isal_zlib.decompressobj
        self._broken: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub errs
        self._source = image.fileno()
        self._size = size
        self._spare = spare
        self._cluster_bytes = header.cluster_bytes

    def read(self, parts: list[Part]) -> Chunk:
        """The chunk that consists of `parts`, and of zeros between them."""
        number = parts[0].at // CHUNK_BYTES
        begin = number * CHUNK_BYTES
        length = min(CHUNK_BYTES, self._size - begin)
        content, filled = self._spare.get(), 0
        runs: list[tuple[int, int]] = []
        for part in parts:
            data = self._read(part)
            start = part.at - begin
            content[filled:start] = ZEROS[filled:start]
            filled = start + len(data)
            content[start:filled] = data
            join(runs, nonzero(start, data))
        content[filled:length] = ZEROS[filled:length]
        digest = self._sha256(memoryview(content)[:length]).hexdigest()
        return Chunk(number, content, digest, runs)

    def _read(self, part: Part) -> bytes:
        cluster = part.cluster
        if not cluster.compressed:
            # What lies behind the end of the file reads as zeros, and zeros are not written.
            return os.pread(self._source, part.end - part.skip, cluster.place + part.skip)
        packed = os.pread(self._source, cluster.length, cluster.place)
        try:
            data = self._inflater(DEFLATE_BITS).decompress(packed, self._cluster_bytes)
        except self._broken as error:
            raise ValueError(f"its cluster at byte {cluster.at} is damaged: {error}") from error
        if len(data) != self._cluster_bytes:
            raise ValueError(f"its cluster at byte {cluster.at} is damaged: it ends too early")
        return data if part.end - part.skip == len(data) else data[part.skip : part.end]


class Writer:
    """The destination. Whole blocks go past the page cache where its filesystem allows that.

    They are read again by nobody soon, and a page to hold them costs more than the write.
    """

    def __init__(self, path: str) -> None:
        self.buffered = os.open(path, os.O_RDWR)
        try:
            self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        except OSError:
            self.direct = self.buffered

    def write(self, chunk: Chunk) -> None:
        """Write what of a chunk is not zeros."""
        view = memoryview(chunk.content)
        for start, end in chunk.runs:
            self.put(view[start:end], chunk.number * CHUNK_BYTES + start)

    def put(self, data: memoryview, at: int) -> None:
        """Write `data`, which begins on a page where `at` is a multiple of its size."""
        whole = len(data) - len(data) % len(BLOCK) if at % len(BLOCK) == 0 else 0
        self._put(self.direct, data[:whole], at)
        self._put(self.buffered, data[whole:], at + whole)

    def _put(self, descriptor: int, data: memoryview, at: int) -> None:
        while data:
            try:
                written = os.pwrite(descriptor, data, at)
            except OSError as error:
                if error.errno != errno.EINVAL or descriptor == self.buffered:
                    raise
                self.direct = descriptor = self.buffered  # blocks there are larger than ours
                continue
            data, at = data[written:], at + written


def nonzero(at: int, data: bytes) -> Iterator[tuple[int, int]]:
    """Where blocks of data are not all zeros: ranges of a chunk in which `data` begins at `at`."""
    start = None
    for offset in range(0, len(data), len(BLOCK)):
        left = len(data) - offset
        empty = data.startswith(BLOCK if left >= len(BLOCK) else BLOCK[:left], offset)
        if empty and start is not None:
            yield at + start, at + offset
            start = None
        elif not empty and start is None:
            start = offset
    if start is not None:
        yield at + start, at + len(data)


def join(runs: list[tuple[int, int]], more: Iterable[tuple[int, int]]) -> None:
    """Append ranges; one that begins where the last one ends makes that longer."""
    for start, end in more:
        if runs and runs[-1][1] == start:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((start, end))


def parts(image: "BinaryIO", header: "Header", ranges: Iterable["Extent"]) -> Iterator[Part]:
    """What of which cluster goes where, in the order of the destination, cut between chunks."""
    from bakery.disk.formats import qcow2_map

    begin = 0
    for extent in ranges:
        for cluster in qcow2_map.clusters(image, header, extent):
            offset = max(cluster.at, extent.offset)
            end = min(cluster.at + header.cluster_bytes, extent.end)
            while offset < end:
                at = begin + offset - extent.offset
                cut = min(end, offset + CHUNK_BYTES - at % CHUNK_BYTES)
                yield Part(cluster, offset - cluster.at, cut - cluster.at, at)
                offset = cut
        begin += extent.length


def chunks(every: Iterable[Part]) -> Iterator[list[Part]]:
    """The parts gathered by the chunk of the destination that they lie in."""
    for _, parts_of_one in itertools.groupby(every, lambda part: part.at // CHUNK_BYTES):
        yield list(parts_of_one)


def read_ahead(
    read: Callable[[T], Chunk], work: Iterable[T], threads: int, ahead: int
) -> Iterator[Chunk]:
    """Read all chunks on all cores, at most `ahead` of them beyond the one handed out."""
    running: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for one in work:
                running.append(pool.submit(read, one))
                if len(running) == ahead:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> None:
    """Copy, and tell how far it is."""
    sys.path[:0] = sys.argv[1].split(os.pathsep)
    from queue import SimpleQueue

    from bakery.disk.extents import Extent
    from bakery.disk.formats import qcow2

    ranges = [Extent(*pair) for pair in json.load(sys.stdin.buffer)]
    size = sum(extent.length for extent in ranges)
    threads = min(THREADS_LIMIT, len(os.sched_getaffinity(0)))
    spare: SimpleQueue[mmap.mmap] = SimpleQueue()
    for _ in range(4 * threads + 1):
        spare.put(mmap.mmap(-1, CHUNK_BYTES))
    with open(sys.argv[2], "rb") as image:  # noqa: PTH123 - pathlib takes longer to import than this takes to run
        header = qcow2.parse(image.read(qcow2.HEAD_BYTES))
        reader, writer = Reader(image, header, size, spare), Writer(sys.argv[3])
        gathered = 0
        work = chunks(parts(image, header, ranges))
        # One thread writes: two would wait for one another at the file's lock, and spin there.
        for chunk in read_ahead(reader.read, work, threads, 4 * threads):
            writer.write(chunk)
            spare.put(chunk.content)
            print("chunk", chunk.number, chunk.sha256)
            gathered += sum(end - start for start, end in chunk.runs)
            if gathered >= TOLD_BYTES:
                print("done", min(size, (chunk.number + 1) * CHUNK_BYTES), flush=True)
                gathered = 0
    print("done", size, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(getattr(error, "strerror", None) or str(error))
    except Exception as error:
        if type(error).__module__ != "bakery.host.errors" and not hasattr(error, "message"):
            raise
        sys.exit(str(error))
