"""A program of its own, run inside the cage: ranges of a qcow2 image into a sparse raw file.

    python3 -I -S confined_copy.py [PACKAGES:...] IMAGE DESTINATION < RANGES

PACKAGES are folders to import from. RANGES is a JSON list of `[offset, length]` in bytes of the
disk, joined in the destination, a file that is there, has its size and reads as zeros. Lines on
standard output tell, in the order of the destination:

    chunk NUMBER HEX    the sha256 of a chunk of 1 MiB that has data; those left out are zeros
    done BYTES          all of the destination before this byte is complete

Clusters are inflated on all cores, each written as it comes: qemu-img takes more than twice the
processor time for the same (docs/performance.md). Source of the format: QEMU,
docs/interop/qcow2.txt, "Cluster mapping" and "Compressed Clusters Descriptor".
"""

import itertools
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import BinaryIO

    from bakery.disk.extents import Extent
    from bakery.disk.qcow2 import Header
    from bakery.disk.qcow2_map import Cluster

CHUNK_BYTES = 1 << 20
"""What a thread copies at a time, aligned in the destination: what a digest is made of."""
TOLD_BYTES = 32 << 20
"""Data between two lines that tell how far it is."""
THREADS_LIMIT = 8
BLOCK = bytes(4096)
"""Zeros of this length and place become holes, as qemu-img's `-S 4k` has it."""
DEFLATE_BITS = -12  # raw deflate with a window of 4 KiB
VECTORS_LIMIT = 256
ZEROS = memoryview(bytes(CHUNK_BYTES))


class Part(NamedTuple):
    """The bytes from `skip` up to `end` of a cluster go to byte `at` of the destination."""

    cluster: "Cluster"
    skip: int
    end: int
    at: int


class Chunk(NamedTuple):
    """A chunk that was read: its sha256, and by place in the destination what is not zeros."""

    number: int
    sha256: str
    pieces: list[tuple[int, bytes]]


class Reader:
    """The image, shared by all threads; `size` is the destination's."""

    def __init__(self, image: "BinaryIO", header: "Header", size: int) -> None:
        import hashlib

        from isal import isal_zlib

        self._sha256 = hashlib.sha256
        self._inflater = isal_zlib.decompressobj
        self._broken: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub errs
        self._source = image.fileno()
        self._size = size
        self._cluster_bytes = header.cluster_bytes

    def read(self, parts: list[Part]) -> Chunk:
        """The chunk that consists of `parts`, and of zeros between them."""
        number = parts[0].at // CHUNK_BYTES
        begin = number * CHUNK_BYTES
        length = min(CHUNK_BYTES, self._size - begin)
        digest, hashed = self._sha256(), 0
        pieces: list[tuple[int, bytes]] = []
        for part in parts:
            data = self._read(part)
            digest.update(ZEROS[: part.at - begin - hashed])
            digest.update(data)
            hashed = part.at - begin + len(data)
            pieces += nonzero(part.at, data)
        digest.update(ZEROS[: length - hashed])
        return Chunk(number, digest.hexdigest(), pieces)

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


def write(target: int, pieces: list[tuple[int, bytes]]) -> None:
    """Write pieces where they belong; those that touch go together."""
    start = end = 0
    run: list[bytes] = []
    for at, piece in pieces:
        if at != end or len(run) == VECTORS_LIMIT:
            put(target, start, run)
            run, start, end = [], at, at
        run.append(piece)
        end = at + len(piece)
    put(target, start, run)


def put(target: int, start: int, run: list[bytes]) -> None:
    """Write one run, however many calls it takes."""
    left = sum(map(len, run))
    written = os.pwritev(target, run, start) if run else 0
    while written < left:
        start, left, run = start + written, left - written, [b"".join(run)[written:]]
        written = os.pwritev(target, run, start)


def nonzero(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The runs of blocks that are not all zeros, and where they go."""
    start = None
    for offset in range(0, len(data), len(BLOCK)):
        left = len(data) - offset
        empty = data.startswith(BLOCK if left >= len(BLOCK) else BLOCK[:left], offset)
        if empty and start is not None:
            yield at + start, data[start:offset]
            start = None
        elif not empty and start is None:
            start = offset
    if start is not None:
        yield at + start, data[start:]


def parts(image: "BinaryIO", header: "Header", ranges: Iterable["Extent"]) -> Iterator[Part]:
    """What of which cluster goes where, in the order of the destination, cut between chunks."""
    from bakery.disk import qcow2_map

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


def read_ahead(reader: Reader, work: Iterable[list[Part]]) -> Iterator[Chunk]:
    """Read all chunks, some at a time, on all cores; in order."""
    threads = min(THREADS_LIMIT, len(os.sched_getaffinity(0)))
    running: deque[Future[Chunk]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for parts_of_one in work:
                running.append(pool.submit(reader.read, parts_of_one))
                if len(running) > 4 * threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> None:
    """Copy, and tell how far it is."""
    sys.path[:0] = sys.argv[1].split(os.pathsep)
    from bakery.disk import qcow2
    from bakery.disk.extents import Extent

    ranges = [Extent(*pair) for pair in json.load(sys.stdin.buffer)]
    size = sum(extent.length for extent in ranges)
    with open(sys.argv[2], "rb") as image, open(sys.argv[3], "r+b", buffering=0) as target:  # noqa: PTH123 - pathlib takes longer to import than this takes to run
        header = qcow2.parse(image.read(qcow2.HEAD_BYTES))
        gathered = 0
        # One thread writes: two would wait for one another at the file's lock, and spin there.
        for chunk in read_ahead(Reader(image, header, size), chunks(parts(image, header, ranges))):
            write(target.fileno(), chunk.pieces)
            print("chunk", chunk.number, chunk.sha256)
            gathered += sum(len(piece) for _, piece in chunk.pieces)
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
        if type(error).__module__ != "bakery.errors" and not hasattr(error, "message"):
            raise
        sys.exit(str(error))
