"""The index of a packed image: which chunk lies where in the zstd file, and what it must be.

JSON, one object: `version` 2, `size_bytes` of the image, `chunk_bytes` (1 MiB), `digest` of the
image by chunks (bakery.disk.digest), `packed_bytes` of the zstd file, and `chunks`, the chunks that
hold data in order, each `[number, offset, length, sha256, frame_digest]`: its number in the image,
its frame's place in the zstd file in bytes, the sha256 of its content, and the frame's SHA-512/256
(FIPS 180-4). All other chunks are zeros.
"""

import re
from pathlib import Path

import msgspec

from bakery.disk.digest import CHUNK_BYTES, of_chunks
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened

VERSION = 2
SUFFIX = ".index"
SIZE_LIMIT_BYTES = 256 << 20
IMAGE_LIMIT_BYTES = 16 << 40
DIGEST = re.compile(r"[0-9a-f]{64}")


class PackedChunk(msgspec.Struct, frozen=True, array_like=True):
    """A chunk with data: its number, where its frame lies, the digests of content and frame."""

    number: int
    offset: int
    length: int
    sha256: str
    frame_digest: str


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What a packed image consists of."""

    version: int = VERSION
    size_bytes: int
    chunk_bytes: int = CHUNK_BYTES
    digest: str
    packed_bytes: int
    chunks: tuple[PackedChunk, ...]

    def content_bytes(self, chunk: PackedChunk) -> int:
        """The bytes of the image that a chunk stands for; the last one may be shorter."""
        return min(CHUNK_BYTES, self.size_bytes - chunk.number * CHUNK_BYTES)


def encode(index: Index) -> bytes:
    """The index as a file."""
    return msgspec.json.encode(index) + b"\n"


def read(path: Path) -> Index:
    """The index in a file that anybody may have written; BakeryError says what is wrong with it."""
    try:
        with opened(path) as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    return decode(content, str(path))


def decode(content: bytes, origin: str) -> Index:
    """The index in these bytes; BakeryError where it is none, or does not add up."""
    try:
        if len(content) > SIZE_LIMIT_BYTES:
            raise ValueError(f"it is larger than {SIZE_LIMIT_BYTES} bytes")
        index = msgspec.json.decode(content, type=Index)
        _check(index)
    except (ValueError, RecursionError) as error:
        raise BakeryError(f"{origin} is not an index of a packed image: {error}") from error
    return index


def _check(index: Index) -> None:
    if index.version != VERSION or index.chunk_bytes != CHUNK_BYTES:
        raise ValueError(f"version {index.version}, chunks of {index.chunk_bytes} bytes")
    if not 0 <= index.size_bytes <= IMAGE_LIMIT_BYTES:
        raise ValueError(f"an image of {index.size_bytes} bytes")
    number, place = -1, 0
    for chunk in index.chunks:
        if chunk.number <= number or chunk.number * CHUNK_BYTES >= index.size_bytes:
            raise ValueError(f"chunk {chunk.number} is out of place")
        if chunk.offset < place or chunk.length <= 0:
            raise ValueError(f"the frame of chunk {chunk.number} is out of place")
        if not DIGEST.fullmatch(chunk.frame_digest):
            raise ValueError(f"the frame of chunk {chunk.number} has no digest")
        number, place = chunk.number, chunk.offset + chunk.length
    if place > index.packed_bytes:
        raise ValueError("frames lie behind the end of the file")
    known = ((chunk.number, bytes.fromhex(chunk.sha256)) for chunk in index.chunks)
    if of_chunks(index.size_bytes, known) != index.digest:
        raise ValueError("its chunks are not those of its digest")
