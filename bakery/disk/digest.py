"""Digests of files that may be mostly holes.

A file without holes has `sha256:<hex>`, as everywhere. A file with holes has
`sha256-1m:<hex>`: the sha256 of the joined sha256 digests of its 1 MiB chunks (the last may be
shorter). A chunk of zeros has a digest known beforehand, so holes are neither read nor hashed,
chunks are hashed on all cores, and the result does not depend on where the holes lie.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from bakery.disk import extents
from bakery.disk.extents import Extent
from bakery.errors import BakeryError

CHUNK_BYTES = 1 << 20
PLAIN = "sha256:"
CHUNKED = "sha256-1m:"

Progress = Callable[[int, int], None]


class Fingerprint(msgspec.Struct, frozen=True):
    """A file's size in bytes, its digest, and its data extents."""

    size_bytes: int
    digest: str
    extents: tuple[Extent, ...]


def fingerprint(path: Path, progress: Progress | None = None) -> Fingerprint:
    """Read the data of `path` once; `progress` is called with data bytes done and in all."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = extents.merged(extents.of_file(file.fileno(), size))
        if extents.total(data) == size:
            digest = PLAIN + sha256(path)
        else:
            digest = CHUNKED + _chunked(file.fileno(), size, data, progress)
    return Fingerprint(size, digest, data)


def matches(path: Path, digest: str) -> bool:
    """Whether the content of `path` has this digest, of either kind."""
    if digest.startswith(PLAIN):
        return digest == PLAIN + sha256(path)
    if not digest.startswith(CHUNKED):
        raise BakeryError(f"{digest.partition(':')[0]!r} is no kind of digest bakery knows")
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        data = extents.merged(extents.of_file(file.fileno(), size))
        return digest == CHUNKED + _chunked(file.fileno(), size, data, None)


def sha256(path: Path) -> str:
    """The sha256 of the whole file in hexadecimal, holes read as zeros."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunked(descriptor: int, size: int, data: Iterable[Extent], progress: Progress | None) -> str:
    """The digest of the chunk digests; memory is 32 bytes a chunk and a few chunks of data."""
    count = -(-size // CHUNK_BYTES)
    pieces = _by_chunk(data)
    digests = bytearray(_zeros(CHUNK_BYTES) * count)
    if count and size % CHUNK_BYTES:
        digests[-32:] = _zeros(size % CHUNK_BYTES)
    done, whole = 0, sum(extents.total(parts) for parts in pieces.values())

    def hash_chunk(number: int) -> tuple[int, bytes]:
        start = number * CHUNK_BYTES
        length = min(CHUNK_BYTES, size - start)
        return number, _hash_chunk(descriptor, start, length, pieces[number])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, digest in pool.map(hash_chunk, pieces):
            digests[number * 32 : number * 32 + 32] = digest
            done += extents.total(pieces[number])
            if progress:
                progress(done, whole)
    return hashlib.sha256(digests).hexdigest()


def _by_chunk(data: Iterable[Extent]) -> dict[int, list[Extent]]:
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


def _hash_chunk(descriptor: int, start: int, length: int, parts: list[Extent]) -> bytes:
    content = bytearray(length)
    view = memoryview(content)
    for part in parts:
        offset = part.offset
        while offset < part.end:
            got = os.preadv(descriptor, [view[offset - start : part.end - start]], offset)
            if got == 0:
                raise BakeryError("a file became shorter while it was read")
            offset += got
    return hashlib.sha256(content).digest()


def _zeros(length: int) -> bytes:
    return hashlib.sha256(bytes(length)).digest()
