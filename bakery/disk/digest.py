"""Digests of files that may be mostly holes.

A file without holes has `sha256:<hex>`, as everywhere. A file with holes has
`sha256-1m:<hex>`: the sha256 of the joined sha256 digests of its 1 MiB chunks (the last may be
shorter). A chunk of zeros has a digest known beforehand, so holes are neither read nor hashed,
chunks are hashed on all cores, and the result does not depend on where the holes lie.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path

import msgspec

from bakery.disk import extents
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool

CHUNK_BYTES = 1 << 20
PLAIN = "sha256:"
CHUNKED = "sha256-1m:"
TOGETHER_LIMIT = 1 << 15
"""Digests of chunks of zeros that are held in memory."""

Progress = Callable[[int, int], None]


class Fingerprint(msgspec.Struct, frozen=True):
    """A file's size in bytes, its digest, and its data extents."""

    size_bytes: int
    digest: str
    extents: tuple[Extent, ...]


def fingerprint(path: Path, progress: Progress | None = None) -> Fingerprint:
    """Read the data of `path` once.

    `progress` is called with data bytes done and in all; what it raises ends the reading.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = extents.merged(extents.of_file(file.fileno(), size))
        if extents.total(data) == size:
            digest = PLAIN + sha256(path, progress)
        else:
            digest = _chunked(file.fileno(), size, data, progress)
    return Fingerprint(size, digest, data)


def matches(path: Path, digest: str) -> bool:
    """Whether the content of `path` has this digest, of either kind."""
    if digest.startswith(PLAIN):
        return digest == PLAIN + sha256(path)
    if not digest.startswith(CHUNKED):
        raise BakeryError(f"{digest.partition(':')[0]!r} is not a kind of digest that bakery knows")
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = extents.merged(extents.of_file(file.fileno(), size))
        return digest == _chunked(file.fileno(), size, data, None)


def sha256(path: Path, progress: Progress | None = None) -> str:
    """The sha256 of the whole file in hexadecimal, holes read as zeros."""
    total, done, whole = hashlib.sha256(), 0, path.stat().st_size
    piece = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            total.update(piece[:count])
            done += count
            if progress:
                progress(done, whole)
    return total.hexdigest()


class Chunks:
    """The chunk digests of a file of `size_bytes`; all chunks are zeros until they are read."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        count = -(-size_bytes // CHUNK_BYTES)
        self._digests = bytearray(_zeros(CHUNK_BYTES) * count)
        if count and size_bytes % CHUNK_BYTES:
            self._digests[-32:] = _zeros(size_bytes % CHUNK_BYTES)

    def read(self, descriptor: int, number: int, parts: list[Extent]) -> None:
        """Hash chunk `number`, whose data lies in `parts` of the file; threads may share this."""
        start = number * CHUNK_BYTES
        content = read_parts(descriptor, start, min(CHUNK_BYTES, self.size_bytes - start), parts)
        self.take(number, hashlib.sha256(content).digest())

    def take(self, number: int, digest: bytes) -> None:
        """Chunk `number` has this sha256, as is known from elsewhere."""
        if len(digest) != 32:
            raise BakeryError(f"{digest.hex()} is not a SHA-256 digest")
        self._digests[number * 32 : number * 32 + 32] = digest

    def digest(self) -> str:
        """The digest of the whole file, `sha256-1m:<hex>`."""
        return CHUNKED + hashlib.sha256(self._digests).hexdigest()


def of_chunks(size_bytes: int, known: Iterable[tuple[int, bytes]]) -> str:
    """The digest of a file of `size_bytes` from the sha256 of its chunks, by rising number.

    Chunks left out are zeros. Memory does not grow with the size. ValueError where a number or a
    digest cannot be.
    """
    count, rest = -(-size_bytes // CHUNK_BYTES), size_bytes % CHUNK_BYTES
    total, at = hashlib.sha256(), 0
    for number, digest in known:
        if not at <= number < count or len(digest) != 32:
            raise ValueError(f"chunk {number} is out of place, or has no valid digest")
        _zero_chunks(total, number - at)
        total.update(digest)
        at = number + 1
    if at < count:
        _zero_chunks(total, count - at - 1)
        total.update(_zeros(rest or CHUNK_BYTES))
    return CHUNKED + total.hexdigest()


def _zero_chunks(total: "hashlib._Hash", count: int) -> None:
    several = _zeros(CHUNK_BYTES) * min(count, TOGETHER_LIMIT)
    while count:
        part = min(count, TOGETHER_LIMIT)
        total.update(several[: part * 32])
        count -= part


class Growing:
    """The fingerprint of a sparse file while it is written, range by range.

    A range is hashed where its digests are not known, and brought to the disk, by threads of
    their own while the next is written.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self._chunks = Chunks(size_bytes)
        self._given: set[int] = set()
        self._pool = Pool(os.cpu_count())
        self._running: list[Future[None]] = []

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(cancel_futures=True)

    def landed(self, written: Extent, digests: dict[int, bytes] | None = None) -> None:
        """A range of the file is complete: the chunks that lie wholly inside it can be hashed.

        With `digests` the range begins and ends between chunks, or at the end of the file;
        they tell the sha256 by chunk number, and chunks left out are zeros.
        """
        for number, known in (digests or {}).items():
            self._chunks.take(number, known)
        first = -(-written.offset // CHUNK_BYTES)
        last = written.end // CHUNK_BYTES
        if written.end == self._chunks.size_bytes:
            last = -(-written.end // CHUNK_BYTES)
        self._given.update(range(first, last))
        if digests is None:
            half = (first + last) // 2
            for numbers in (range(first, half), range(half, last)):
                self._running.append(self._pool.submit(self._hash, numbers))
        self._running.append(self._pool.submit(self._bring_to_disk))

    def altered(self, number: int) -> None:
        """Chunk `number`, which has landed, was written to once more."""
        self._given.discard(number)

    def fingerprint(self) -> Fingerprint:
        """The file is complete: wait for the threads, and hash what is left: chunks that lay
        across two ranges, and altered ones.
        """
        for running in self._running:
            running.result()
        size = self._chunks.size_bytes
        for number in set(range(-(-size // CHUNK_BYTES))) - self._given:
            self._hash(range(number, number + 1))
        with self.path.open("rb", buffering=0) as file:
            data = extents.merged(extents.of_file(file.fileno(), size))
        plain = extents.total(data) == size
        digest = PLAIN + sha256(self.path) if plain else self._chunks.digest()
        return Fingerprint(size, digest, data)

    def _hash(self, numbers: range) -> None:
        start, end = numbers.start * CHUNK_BYTES, numbers.stop * CHUNK_BYTES
        with self.path.open("rb", buffering=0) as file:
            data = extents.of_file(file.fileno(), min(end, self._chunks.size_bytes), start)
            for number, parts in by_chunk(data).items():
                self._chunks.read(file.fileno(), number, parts)

    def _bring_to_disk(self) -> None:
        with self.path.open("rb", buffering=0) as file:
            os.fdatasync(file.fileno())


def _chunked(descriptor: int, size: int, data: Iterable[Extent], progress: Progress | None) -> str:
    """The digest of the chunk digests; memory is 32 bytes a chunk and a few chunks of data."""
    chunks, pieces = Chunks(size), by_chunk(data)
    done, whole = 0, sum(extents.total(parts) for parts in pieces.values())

    def read(number: int) -> int:
        chunks.read(descriptor, number, pieces[number])
        return extents.total(pieces[number])

    with Pool(os.cpu_count()) as pool:
        try:
            for count in pool.map(read, pieces):
                done += count
                if progress:
                    progress(done, whole)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return chunks.digest()


def by_chunk(data: Iterable[Extent]) -> dict[int, list[Extent]]:
    """The extents cut at chunk borders, by chunk number."""
    pieces: dict[int, list[Extent]] = {}
    for extent in data:
        offset = extent.offset
        while offset < extent.end:
            number = offset // CHUNK_BYTES
            end = min(extent.end, (number + 1) * CHUNK_BYTES)
            pieces.setdefault(number, []).append(Extent(offset, end - offset))
            offset = end
    return pieces


def read_parts(descriptor: int, start: int, length: int, parts: Iterable[Extent]) -> bytearray:
    """`length` bytes of a file from `start` on, of which `parts` hold data; the rest is zeros.

    BakeryError where the file ends before its data does.
    """
    content = bytearray(length)
    view = memoryview(content)
    for part in parts:
        offset = part.offset
        while offset < part.end:
            got = os.preadv(descriptor, [view[offset - start : part.end - start]], offset)
            if got == 0:
                raise BakeryError("a file shrank while it was being read")
            offset += got
    return content


def _zeros(length: int) -> bytes:
    return hashlib.sha256(bytes(length)).digest()
