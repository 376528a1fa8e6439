"""A packed image onto a disk: fetched over several connections, checked, written, read back.

Each connection has a thread that fetches frames, inflates, hashes and writes them. A connection
that breaks begins again at the first frame that did not arrive. The disk's first MiB, which holds
the partition table and whatever firmware would boot, is written when all else was read back.
"""

import contextlib
import hashlib
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import http
from .disk import BlockDevice
from .errors import AgentError
from .image import CHUNK, Chunk, Index
from .progress import Progress
from .zstd import Decompressor

CONNECTIONS = 4
GROUP_BYTES = 4 << 20
"""Frames that lie one behind the other are asked for together, up to so many bytes."""
SAVE_SECONDS = 5.0
TELL_SECONDS = 0.5
TOLD_CHUNKS = 64
PATIENCE_SECONDS = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
REPAIRS = 3
ROW_CHUNKS = 64
HEAD = 1 << 20
PROBE, PROBE_STEP = 4096, 16 << 20

Tell = Callable[[str, int, int], None]


class Piece(NamedTuple):
    """A packed image, and the byte of the disk where it begins: 0 or a multiple of 1 MiB."""

    frames_url: str
    image: Index
    place: int


class Work(NamedTuple):
    """A chunk on its way: its number among all chunks of all pieces, and where its content goes."""

    number: int
    url: str
    chunk: Chunk
    at: int
    length: int


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


def pull(disk: BlockDevice, order: Order, tell: Tell) -> None:
    """Bring all pieces onto the disk; AgentError where that cannot be, with nothing to boot."""
    if disk.size < order.end:
        raise AgentError(f"{disk.path} has {disk.size} bytes, and {order.end} are needed")
    progress = Progress(disk, order.identity, order.count)
    if progress.resume():
        _recognize(disk, order, progress)
    else:
        tell("writing", 0, len(order.rest))  # a large disk may take minutes to be cleared
        _clear(disk, order)
        progress.save()
    fetch = _Fetch(disk, progress, tell)
    for _ in range(REPAIRS):
        fetch.run([one for one in order.rest if not progress.has(one.number)], len(order.rest))
        progress.save()
        wrong = _verify(disk, order, progress, tell)
        if not wrong:
            break
        progress.save()
    else:
        raise AgentError(
            f"{disk.path} gives back other bytes than were written at byte {wrong[0].at}"
        )
    _finish(disk, order, fetch)


def _recognize(disk: BlockDevice, order: Order, progress: Progress) -> None:
    """Note what was written after the last note, before the node went down.

    Chunks are written nearly in their order, so after a row of others there is no more of them.
    """
    buffer, others = mmap.mmap(-1, CHUNK), 0
    for work in order.rest:
        if progress.has(work.number):
            continue
        others = 0 if _is_there(disk, work, buffer) else others + 1
        if not others:
            progress.add(work.number)
        elif others >= ROW_CHUNKS:
            return


def _is_there(disk: BlockDevice, work: Work, buffer: mmap.mmap) -> bool:
    disk.read(buffer, work.length, work.at)
    return hashlib.sha256(memoryview(buffer)[: work.length]).digest() == work.chunk.sha256


def _clear(disk: BlockDevice, order: Order) -> None:
    """Nothing boots from here on; what the pieces have no data for is zeros."""
    disk.zero(0, HEAD)
    disk.flush()
    disk.discard()
    tail = max(HEAD, disk.size - HEAD)
    disk.zero(tail, disk.size - tail)
    for start, end in order.holes():
        disk.zero(start, end - start)


class _Fetch:
    """Chunks on their way to the disk."""

    def __init__(self, disk: BlockDevice, progress: Progress, tell: Tell) -> None:
        self._disk, self._progress, self._tell = disk, progress, tell
        self._inflate = Decompressor().into
        self._lock = threading.Lock()
        self._groups: deque[deque[Work]] = deque()
        self._last_news = 0.0
        self._done = 0
        self._error: AgentError | None = None

    def run(self, work: list[Work], total: int) -> None:
        """Fetch and write all of `work`; `total` is what there is, done before included."""
        self._groups.extend(_groups(work))
        self._done, self._last_news = total - len(work), time.monotonic()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        saved = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(TELL_SECONDS / len(threads))
            self._tell("writing", self._done, total)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._progress.save()
                saved = time.monotonic()
        self._tell("writing", self._done, total)
        if self._error:
            self._progress.save()
            raise self._error

    def content(self, work: Work) -> bytes:
        """One chunk, fetched alone."""
        content: list[bytes] = []
        self._groups.append(deque([work]))
        self._last_news = time.monotonic()
        self._work(lambda _work, buffer: content.append(buffer[: work.length]))
        if self._error:
            raise self._error
        return content[0]

    def _work(self, keep: Callable[[Work, mmap.mmap], None] | None = None) -> None:
        buffer, pause = mmap.mmap(-1, CHUNK), FIRST_PAUSE
        while (group := self._next()) and not self._error:
            try:
                with http.Connection(http.parse(group[0].url)) as connection:
                    while group:
                        self._take(connection, group, buffer, keep or self._write)
                        pause = FIRST_PAUSE
            except AgentError as error:
                self._error = self._error or error
            except OSError as error:
                self._groups.appendleft(group)
                if time.monotonic() - self._last_news > PATIENCE_SECONDS:
                    reason = error.strerror or str(error)
                    self._error = AgentError(f"the image cannot be fetched any more: {reason}")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _next(self) -> deque[Work] | None:
        with contextlib.suppress(IndexError):
            return self._groups.popleft()
        return None

    def _take(
        self,
        connection: http.Connection,
        group: deque[Work],
        buffer: mmap.mmap,
        keep: Callable[[Work, mmap.mmap], None],
    ) -> None:
        """Fetch a group; what is done leaves it, so that what is left can be asked for again."""
        start, last = group[0].chunk.offset, group[-1].chunk
        connection.ask(start, last.offset + last.length - start)
        while group:
            work = group[0]
            frame = connection.take(work.chunk.length)
            if not self._is_whole(work, frame, buffer):
                # Nothing of it is written. Another try may pass by whatever spoiled it.
                raise ConnectionError(f"the chunk for byte {work.at} arrived damaged")
            keep(work, buffer)
            with self._lock:
                self._last_news = time.monotonic()
            group.popleft()

    def _is_whole(self, work: Work, frame: bytes, buffer: mmap.mmap) -> bool:
        if not self._inflate(frame, buffer, work.length):
            return False
        return hashlib.sha256(memoryview(buffer)[: work.length]).digest() == work.chunk.sha256

    def _write(self, work: Work, buffer: mmap.mmap) -> None:
        self._disk.write(buffer, work.length, work.at)
        self._progress.add(work.number)
        with self._lock:
            self._done += 1


def _groups(every: Iterable[Work]) -> Iterable[deque[Work]]:
    """Chunks whose frames touch, up to GROUP_BYTES."""
    group: deque[Work] = deque()
    for work in every:
        if group:
            first, last, chunk = group[0], group[-1], work.chunk
            apart = work.url != first.url or chunk.offset != last.chunk.offset + last.chunk.length
            if apart or chunk.offset + chunk.length - first.chunk.offset > GROUP_BYTES:
                yield group
                group = deque()
        group.append(work)
    if group:
        yield group


def _verify(disk: BlockDevice, order: Order, progress: Progress, tell: Tell) -> list[Work]:
    """Read everything back: what is not right, and has to be fetched again."""
    wrong: list[Work] = []
    buffer = mmap.mmap(-1, CHUNK)
    for done, work in enumerate(order.rest):
        if not _is_there(disk, work, buffer):
            progress.drop(work.number)
            wrong.append(work)
        if not done % TOLD_CHUNKS:
            tell("verifying", done, len(order.rest))
    for start, end in order.holes():
        for at in (*range(start, end, PROBE_STEP), max(start, end - PROBE)):
            length = min(PROBE, end - at)
            disk.read(buffer, length, at)
            if any(buffer[:length]):
                raise AgentError(f"{disk.path} does not read as zeros at byte {at}")
    tell("verifying", len(order.rest), len(order.rest))
    return wrong


def _finish(disk: BlockDevice, order: Order, fetch: _Fetch) -> None:
    """The first MiB, last; it is taken back where it does not read as written."""
    buffer, again = mmap.mmap(-1, HEAD), mmap.mmap(-1, HEAD)
    for work in order.head:
        buffer[work.at : work.at + work.length] = fetch.content(work)
    disk.write(buffer, HEAD, 0)
    disk.flush()
    disk.read(again, HEAD, 0)
    if again[:] != buffer[:]:
        disk.zero(0, HEAD)
        disk.flush()
        raise AgentError(f"{disk.path} gives back another first MiB than was written")
