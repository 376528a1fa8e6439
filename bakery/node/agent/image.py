"""The index of a packed image: which chunk of 1 MiB lies where in the zstd file, and its digests.

docs/packed.md tells the format. What is not listed is zeros.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import NamedTuple

from .errors import AgentError
from .layout import CHUNK

VERSION = 2
SIZE_LIMIT = 16 << 40
DIGEST = re.compile(r"[0-9a-f]{64}")
CHUNKED = "sha256-1m:"


class Chunk(NamedTuple):
    """A chunk with data: its number, its frame's place in the zstd file, the sha256 of
    its content, and the frame's SHA-512/256."""

    number: int
    offset: int
    length: int
    sha256: bytes
    frame_digest: bytes


class Index(NamedTuple):
    """An image of `size` bytes, and its chunks with data in order."""

    size: int
    digest: str
    chunks: tuple[Chunk, ...]

    def length(self, number: int) -> int:
        """The bytes of chunk `number`; the last one may be shorter."""
        return min(CHUNK, self.size - number * CHUNK)


def parse(content: bytes) -> Index:
    """The index in these bytes; AgentError where it is none, or does not add up."""
    try:
        return from_json(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise AgentError(f"the image's index is invalid: {error}") from None


def from_json(told: object) -> Index:
    """The index that was read from JSON; ValueError where it is none, or does not add up."""
    if not isinstance(told, dict) or not isinstance(told.get("chunks"), list):
        raise ValueError("not an index")
    if (told.get("version"), told.get("chunk_bytes")) != (VERSION, CHUNK):
        raise ValueError("unsupported version")
    size, packed = _number(told.get("size_bytes"), SIZE_LIMIT), _number(told.get("packed_bytes"))
    index = Index(size, str(told.get("digest")), tuple(_chunk(words) for words in told["chunks"]))
    _check(index, packed)
    return index


def _chunk(words: object) -> Chunk:
    if not isinstance(words, list) or len(words) != 5:
        raise ValueError("a malformed chunk")
    number, offset, length = (_number(word) for word in words[:3])
    if not all(isinstance(word, str) and DIGEST.fullmatch(word) for word in words[3:]):
        raise ValueError(f"chunk {number} has no digest")
    content, frame = map(bytes.fromhex, words[3:])
    return Chunk(number, offset, length, content, frame)


def _number(value: object, limit: int = 1 << 62) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError("a number out of range")
    return value


def _check(index: Index, packed: int) -> None:
    last, place = -1, 0
    for chunk in index.chunks:
        if chunk.number <= last or chunk.number * CHUNK >= index.size:
            raise ValueError(f"chunk {chunk.number} cannot be there")
        if chunk.offset < place or not chunk.length or chunk.offset + chunk.length > packed:
            raise ValueError(f"the frame of chunk {chunk.number} cannot be there")
        last, place = chunk.number, chunk.offset + chunk.length
    if _digest(index) != index.digest:
        raise ValueError("its chunks do not match its digest")


def _digest(index: Index) -> str:
    """The sha256 of all chunks' sha256, those of zeros included."""
    total, at, count = hashlib.sha256(), 0, -(-index.size // CHUNK)
    zeros = hashlib.sha256(bytes(CHUNK)).digest()  # once: a slow processor takes 20 ms for it
    for chunk in index.chunks:
        _repeat(total.update, zeros, chunk.number - at)
        total.update(chunk.sha256)
        at = chunk.number + 1
    if at < count:
        _repeat(total.update, zeros, count - at - 1)
        total.update(hashlib.sha256(bytes(index.length(count - 1))).digest())
    return CHUNKED + total.hexdigest()


def _repeat(update: Callable[[bytes], None], one: bytes, count: int) -> None:
    several = one * min(count, 1 << 14)
    while count:
        part = min(count, 1 << 14)
        update(several[: part * len(one)])
        count -= part
