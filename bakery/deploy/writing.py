"""Writing a disk so that it is either whole or not bootable, and reading back what is on it.

The first MiB, which holds the partition table and whatever firmware would boot, is made zeros
before anything else and written when all the rest has been read back and found right. What lies
in holes is made zeros by the disk itself; it is read back at both ends of each hole and at every
16 MiB in between, since reading zeros costs as much wire as reading data.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bakery.deploy.contents import Piece
from bakery.disk import extents
from bakery.disk.digest import CHUNK_BYTES, CHUNKED, PLAIN, Chunks, by_chunk
from bakery.disk.extents import Extent
from bakery.errors import BakeryError

HEAD = Extent(0, 1 << 20)
# Where GPT keeps its second copy (UEFI 2.10, 5.3.1); an old one would be believed.
TAIL_BYTES = 1 << 20
PROBE_BYTES = 4096
PROBE_STEP_BYTES = 16 << 20
CHUNKS_AHEAD = 8

Progress = Callable[[int, int], None]


class Disk(Protocol):
    """What is needed of a disk; `bakery.deploy.nbd.Nbd` has it. Offsets and lengths in bytes."""

    size_bytes: int

    def write(self, offset: int, data: memoryview) -> None:
        """Send bytes for a place."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range zeros."""

    def read_into(self, offset: int, target: memoryview) -> int:
        """Ask for bytes; a ticket for `wait`."""

    def wait(self, ticket: int) -> None:
        """Return when what was asked for is there."""

    def flush(self) -> None:
        """Bring all to stable storage."""


class Mismatch(BakeryError):
    """The disk gave back other bytes than were written."""


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress, in bytes done and in all."""

    writing: Progress = lambda _done, _total: None
    verifying: Progress = lambda _done, _total: None
    before_verifying: Callable[[], None] = lambda: None


def write_and_verify(disk: Disk, pieces: Sequence[Piece], watcher: Watcher) -> None:
    """Bring `pieces` onto `disk`, read them back, and make the disk bootable at last.

    Raises Mismatch where the disk returns other bytes, DiskFailed where it gives up, and
    BakeryError where a file is not what its digest says. After any of them the first MiB of the
    disk is zeros, as far as the disk could still be reached.
    """
    clear(disk)
    count = _Counter(_volume(pieces), watcher.writing)
    for piece in pieces:
        _write_piece(disk, piece, count)
    disk.flush()
    watcher.before_verifying()
    count = _Counter(_volume(pieces), watcher.verifying)
    for piece in pieces:
        _verify_piece(disk, piece, count)
    _finish(disk, pieces)


def clear(disk: Disk) -> None:
    """Take away whatever the disk would boot by: its first and its last MiB become zeros."""
    disk.zero(0, min(HEAD.length, disk.size_bytes))
    if disk.size_bytes > HEAD.length:
        tail = min(TAIL_BYTES, disk.size_bytes - HEAD.length)
        disk.zero(disk.size_bytes - tail, tail)
    disk.flush()


def _finish(disk: Disk, pieces: Iterable[Piece]) -> None:
    """Write the first MiB, and take it back where it does not read as written."""
    heads = [(piece, part) for piece in pieces for part in _parts(piece, piece.data, head=True)]
    for piece, part in heads:
        disk.write(piece.offset + part.offset, memoryview(_load(piece.path, part)))
    disk.flush()
    for piece, part in heads:
        if _read(disk, piece.offset + part.offset, part.length) != _load(piece.path, part):
            clear(disk)
            raise _mismatch(piece, piece.offset + part.offset)


def _write_piece(disk: Disk, piece: Piece, count: "_Counter") -> None:
    """Zero the holes and write the data behind the first MiB; the file is hashed on the way."""
    for hole in _parts(piece, piece.holes(), head=False):
        disk.zero(piece.offset + hole.offset, hole.length)
    tally = _Tally(piece)
    with piece.path.open("rb", buffering=0) as file:
        for number, parts in _chunks(piece):
            content = tally.blank(number)
            for part in parts:
                start = part.offset - number * CHUNK_BYTES
                view = memoryview(content)[start : start + part.length]
                _read_file(file.fileno(), part.offset, view)
            tally.take(number, content)
            for part in _parts(piece, parts, head=False):
                start = part.offset - number * CHUNK_BYTES
                view = memoryview(content)[start : start + part.length]
                disk.write(piece.offset + part.offset, view)
            count.add(extents.total(parts))
    if tally.digest() != piece.digest:
        raise BakeryError(
            f"{piece.path.name} is not what its manifest says: it has changed since it was made",
            "run bakery build again",
        )


def _verify_piece(disk: Disk, piece: Piece, count: "_Counter") -> None:
    """Read a piece back; its digest must be the manifest's. The first MiB is still the file's."""
    _probe(disk, piece)
    tally = _Tally(piece)
    waiting: deque[tuple[int, bytearray, list[int], int]] = deque()

    def settle() -> None:
        number, content, tickets, length = waiting.popleft()
        for ticket in tickets:
            disk.wait(ticket)
        tally.take(number, content)
        count.add(length)

    for number, parts in _chunks(piece):
        content = tally.blank(number)
        tickets = []
        for part in parts:
            start = part.offset - number * CHUNK_BYTES
            view = memoryview(content)[start : start + part.length]
            tickets += _ask(disk, piece, part, view)
        waiting.append((number, content, tickets, extents.total(parts)))
        if len(waiting) >= CHUNKS_AHEAD:
            settle()
    while waiting:
        settle()
    if tally.digest() != piece.digest:
        raise _mismatch(piece)


def _ask(disk: Disk, piece: Piece, part: Extent, view: memoryview) -> list[int]:
    """Ask for a part, from the disk what is there already, from the file what is yet to come."""
    tickets = []
    for inside in _parts(piece, [part], head=True):
        start = inside.offset - part.offset
        view[start : start + inside.length] = _load(piece.path, inside)
    for behind in _parts(piece, [part], head=False):
        start = behind.offset - part.offset
        target = view[start : start + behind.length]
        tickets.append(disk.read_into(piece.offset + behind.offset, target))
    return tickets


def _probe(disk: Disk, piece: Piece) -> None:
    """Look into the holes."""
    for hole in _parts(piece, piece.holes(), head=False):
        for place in _places(hole):
            offset = piece.offset + place.offset
            if any(_read(disk, offset, place.length)):
                raise _mismatch(piece, offset)


def _places(hole: Extent) -> Iterator[Extent]:
    """Where a hole is looked into: its start, every 16 MiB, its end."""
    for offset in range(hole.offset, hole.end, PROBE_STEP_BYTES):
        yield Extent(offset, min(PROBE_BYTES, hole.end - offset))
    last = max(hole.offset, hole.end - PROBE_BYTES)
    yield Extent(last, hole.end - last)


def _parts(piece: Piece, found: Iterable[Extent], *, head: bool) -> tuple[Extent, ...]:
    """Those parts of file extents that land in the disk's first MiB, or those behind it."""
    border = max(0, min(HEAD.end - piece.offset, piece.size_bytes))
    window = Extent(0, border) if head else Extent(border, piece.size_bytes - border)
    return extents.clipped(found, window)


def _chunks(piece: Piece) -> Iterator[tuple[int, list[Extent]]]:
    """The chunks of a piece that hold data, in order, with their data."""
    yield from sorted(by_chunk(piece.data).items())


def _read(disk: Disk, offset: int, length: int) -> bytes:
    content = bytearray(length)
    disk.wait(disk.read_into(offset, memoryview(content)))
    return bytes(content)


def _load(path: Path, part: Extent) -> bytes:
    content = bytearray(part.length)
    with path.open("rb", buffering=0) as file:
        _read_file(file.fileno(), part.offset, memoryview(content))
    return bytes(content)


def _read_file(descriptor: int, offset: int, target: memoryview) -> None:
    while len(target):
        count = os.preadv(descriptor, [target], offset)
        if count == 0:
            raise BakeryError("a file became shorter while it was read")
        target, offset = target[count:], offset + count


def _volume(pieces: Iterable[Piece]) -> int:
    return sum(extents.total(piece.data) for piece in pieces)


def _mismatch(piece: Piece, offset: int | None = None) -> Mismatch:
    where = "" if offset is None else f" at byte {offset} of the disk"
    return Mismatch(
        f"the disk gave back other bytes than were written ({piece.name}{where})",
        "the disk or the way to it is faulty: replace it, then deploy again",
    )


class _Counter:
    """Counts bytes for whoever shows progress."""

    def __init__(self, total: int, tell: Progress) -> None:
        self._done, self._total, self._tell = 0, total, tell

    def add(self, count: int) -> None:
        self._done += count
        self._tell(self._done, self._total)


class _Tally:
    """The digest of a piece, of the kind the piece has, from chunks in order."""

    def __init__(self, piece: Piece) -> None:
        self._size = piece.size_bytes
        self._plain = hashlib.sha256() if piece.digest.startswith(PLAIN) else None
        self._chunks = Chunks(piece.size_bytes)
        self._at = 0
        if self._plain is None and not piece.digest.startswith(CHUNKED):
            raise BakeryError(f"{piece.digest.partition(':')[0]!r} is no kind of digest known here")

    def blank(self, number: int) -> bytearray:
        """Zeros, as many as chunk `number` has bytes."""
        return bytearray(min(CHUNK_BYTES, self._size - number * CHUNK_BYTES))

    def take(self, number: int, content: bytearray) -> None:
        if self._plain is None:
            self._chunks.take(number, hashlib.sha256(content).digest())
        else:
            self._zeros_until(number * CHUNK_BYTES)
            self._plain.update(content)
            self._at += len(content)

    def digest(self) -> str:
        if self._plain is None:
            return self._chunks.digest()
        self._zeros_until(self._size)
        return PLAIN + self._plain.hexdigest()

    def _zeros_until(self, end: int) -> None:
        assert self._plain is not None
        while self._at < end:
            count = min(CHUNK_BYTES, end - self._at)
            self._plain.update(bytes(count))
            self._at += count
