"""What goes onto a disk: packed images at their places, and the chunks of 1 MiB they consist of."""

import hashlib
import mmap
from collections.abc import Iterable
from typing import NamedTuple

from .errors import AgentError
from .image import CHUNK, Chunk, Index

HEAD = 1 << 20
"""The first MiB of a disk, which holds the partition table and whatever firmware would boot."""


class Piece(NamedTuple):
    """A packed image, and the byte of the disk where it begins: 0 or a multiple of 1 MiB.

    `cast` is the port where its frames are multicast, 0 where they are not.
    """

    frames_url: str
    image: Index
    place: int
    cast: int = 0


class Work(NamedTuple):
    """A chunk on its way: its number among all chunks of all pieces, and where its content goes."""

    number: int
    url: str
    chunk: Chunk
    at: int
    length: int

    def holds(self, content: bytes | memoryview) -> bool:
        """Whether these bytes are the chunk's content."""
        return hashlib.sha256(content).digest() == self.chunk.sha256

    def is_in(self, buffer: mmap.mmap) -> bool:
        """Whether a buffer begins with the chunk's content."""
        return self.holds(memoryview(buffer)[: self.length])


class Order:
    """What goes onto the disk: pieces that do not lie over one another."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = sorted(pieces, key=lambda piece: piece.place)
        self.count = 0
        self.end = 0
        work: list[Work] = []
        for piece in self.pieces:
            if piece.place % CHUNK or piece.place < self.end:
                raise AgentError(f"an image cannot begin at byte {piece.place}")
            work += _work(piece, self.count)
            self.count += -(-piece.image.size // CHUNK)
            self.end = piece.place + piece.image.size
        self.head = [one for one in work if one.at < HEAD]
        self.rest = [one for one in work if one.at >= HEAD]

    @property
    def identity(self) -> str:
        """The same for what puts the same bytes in the same places."""
        return " ".join(f"{piece.place}:{piece.image.digest}" for piece in self.pieces)

    def holes(self) -> Iterable[tuple[int, int]]:
        """The ranges of the disk, behind its first MiB, where pieces have zeros."""
        known = iter([*((one.at, one.at + one.length) for one in self.rest), (1 << 62, 1 << 62)])
        start, end = next(known)
        for piece in self.pieces:
            at, last = max(HEAD, piece.place), piece.place + piece.image.size
            while at < last:
                if start > at:
                    yield at, min(start, last)
                if start >= last:
                    break
                at = end
                start, end = next(known)


def _work(piece: Piece, first: int) -> Iterable[Work]:
    for chunk in piece.image.chunks:
        at = piece.place + chunk.number * CHUNK
        length = piece.image.length(chunk.number)
        yield Work(first + chunk.number, piece.frames_url, chunk, at, length)
