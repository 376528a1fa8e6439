"""The files that go onto a node's disk, read here: the source of a disk that is written from here.

Each file is hashed on the way, and is to have its manifest's digest; of all that is handed on, the
sha256 is kept for the reading back.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, groupby
from typing import NamedTuple

from bakery.conductor.contents import Piece
from bakery.disk import extents
from bakery.disk.digest import CHUNK_BYTES, PLAIN, Chunks, by_chunk
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened
from bakery.node.agent.layout import HEAD, Layout


class Part(NamedTuple):
    """Data of a piece that lies in one chunk of its file, for byte `at` of the disk."""

    number: int
    at: int
    length: int
    piece: Piece

    @property
    def offset(self) -> int:
        """Where it lies in its file."""
        return self.at - self.piece.offset

    @property
    def chunk(self) -> int:
        """The chunk of its file that it is of."""
        return self.offset // CHUNK_BYTES


Put = Callable[[Part, memoryview], None]


class LocalFiles:
    """Pieces in the order of the disk (`bakery.node.agent.writing.Source`).

    Methods raise BakeryError where a file is not what its digest says.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        numbers = count()
        self._files = [(piece, list(_parts(piece, numbers))) for piece in pieces]
        self._heads: dict[int, bytes] = {}
        self._digests: dict[int, bytes] = {}
        parts = chain.from_iterable(parts for _, parts in self._files)
        self.layout = Layout(((piece.offset, piece.end) for piece in pieces), parts)

    def bring(self, wanted: Sequence[Part], put: Put, tick: Callable[[], None]) -> None:
        """Read and hash all files from start to end."""
        numbers = {part.number for part in wanted}
        for piece, parts in self._files:
            tally = _Tally(piece)
            with opened(piece.path) as file:
                for number, inside in groupby(parts, lambda part: part.chunk):
                    content = tally.blank(number)
                    views = [(part, _filled(content, part, file.fileno())) for part in inside]
                    known = tally.take(number, content)
                    for part, view in views:
                        if part.at < HEAD:
                            self._heads[part.number] = bytes(view)
                        elif part.number in numbers:
                            whole = len(view) == len(content)
                            self._digests[part.number] = known if whole else _sha256(view)
                            put(part, view)
                    tick()
            if tally.digest() != piece.digest:
                raise BakeryError(
                    f"{piece.path.name} is not what its manifest says: "
                    "it has changed since it was made",
                    "run bakery build again",
                )

    def content(self, part: Part) -> bytes:
        """As it was read and hashed with all the rest."""
        return self._heads[part.number]

    def is_in(self, part: Part, view: memoryview) -> bool:
        """By the sha256 of what was handed on."""
        return self._digests.get(part.number) == _sha256(view)


def _parts(piece: Piece, numbers: Iterator[int]) -> Iterator[Part]:
    """The data of a piece, cut between its chunks and where the disk's first MiB ends."""
    head = min(max(0, HEAD - piece.offset), piece.size_bytes)
    for window in (Extent(0, head), Extent(head, piece.size_bytes - head)):
        for inside in by_chunk(extents.clipped(piece.data, window)).values():
            for extent in inside:
                yield Part(next(numbers), piece.offset + extent.offset, extent.length, piece)


def _filled(content: bytearray, part: Part, descriptor: int) -> memoryview:
    """The place of a part in its chunk's content, read from its file."""
    start = part.offset % CHUNK_BYTES
    view = memoryview(content)[start : start + part.length]
    done = 0
    while done < part.length:
        got = os.preadv(descriptor, [view[done:]], part.offset + done)
        if got == 0:
            raise BakeryError(f"{part.piece.path.name} shrank while it was being read")
        done += got
    return view


def _sha256(content: bytearray | memoryview) -> bytes:
    return hashlib.sha256(content).digest()


class _Tally:
    """The digest of a piece, of the kind the piece has, from the chunks with data in order.

    A plain one is of a file without holes (`bakery.disk.digest`).
    """

    def __init__(self, piece: Piece) -> None:
        self._size = piece.size_bytes
        self._plain = hashlib.sha256() if piece.digest.startswith(PLAIN) else None
        self._chunks = Chunks(piece.size_bytes)

    def blank(self, number: int) -> bytearray:
        """Zeros, as many as chunk `number` has bytes."""
        return bytearray(min(CHUNK_BYTES, self._size - number * CHUNK_BYTES))

    def take(self, number: int, content: bytearray) -> bytes:
        """The next chunk; its sha256."""
        known = _sha256(content)
        self._chunks.take(number, known)
        if self._plain is not None:
            self._plain.update(content)
        return known

    def digest(self) -> str:
        """That of all the piece."""
        return self._chunks.digest() if self._plain is None else PLAIN + self._plain.hexdigest()
