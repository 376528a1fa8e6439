"""What goes onto a disk: packed images at their places, and the chunks of 1 MiB they consist of."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from .errors import AgentError
from .image import Chunk, Index
from .layout import CHUNK, Layout


class Cast(NamedTuple):
    """Where frames are multicast, and the key they are encrypted with."""

    port: int
    key: bytes


class Piece(NamedTuple):
    """A packed image, and the byte of the disk where it begins: 0 or a multiple of 1 MiB.

    `key` is what its frames are encrypted with at the URL; empty where they lie there in the clear.
    """

    frames_url: str
    image: Index
    place: int
    key: bytes = b""
    cast: Cast | None = None


class Work(NamedTuple):
    """A chunk on its way: its number among all chunks of all pieces, and where its content goes.

    `key` is what its frame is encrypted with at the URL, if it is.
    """

    number: int
    url: str
    chunk: Chunk
    at: int
    length: int
    key: bytes = b""

    def holds(self, content: bytes | memoryview) -> bool:
        """Whether these bytes are the chunk's content."""
        return hashlib.sha256(content).digest() == self.chunk.sha256


class WriteList(Layout[Work]):
    """What goes onto the disk: pieces that do not lie over one another, of `count` chunks."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = sorted(pieces, key=lambda piece: piece.place)
        self.count, end = 0, 0
        spans: list[tuple[int, int]] = []
        works: list[Work] = []
        for piece in self.pieces:
            if piece.place % CHUNK or piece.place < end:
                raise AgentError(f"an image cannot begin at byte {piece.place}")
            works += _works(piece, self.count)
            self.count += -(-piece.image.size // CHUNK)
            end = piece.place + piece.image.size
            spans.append((piece.place, end))
        super().__init__(spans, works)

    @property
    def identity(self) -> str:
        """The same for what puts the same bytes in the same places."""
        return " ".join(f"{piece.place}:{piece.image.digest}" for piece in self.pieces)


def _works(piece: Piece, first: int) -> Iterable[Work]:
    for chunk in piece.image.chunks:
        at = piece.place + chunk.number * CHUNK
        length = piece.image.length(chunk.number)
        yield Work(first + chunk.number, piece.frames_url, chunk, at, length, piece.key)
