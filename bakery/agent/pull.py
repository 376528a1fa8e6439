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
PATIENCE_SECONDS = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
REPAIRS = 3
HEAD = 1 << 20
PROBE, PROBE_STEP = 4096, 16 << 20

Tell = Callable[[str, int, int], None]


class Order(NamedTuple):
    """What goes where: the image at byte `place` of the disk, `head` into its first bytes.

    `place` is 0, where the image brings its own first MiB, or a multiple of 1 MiB.
    """

    frames_url: str
    image: Index
    place: int
    head: bytes


def pull(disk: BlockDevice, order: Order, tell: Tell) -> None:
    """Bring the image onto the disk; AgentError where that cannot be, with nothing to boot."""
    _check(disk, order)
    count = -(-order.image.size // CHUNK)
    progress = Progress(disk, order.image.digest, order.place, count)
    if not progress.resume():
        _clear(disk, order)
        progress.save()
    every = [chunk for chunk in order.image.chunks if order.place or chunk.number]
    for _ in range(REPAIRS):
        missing = [chunk for chunk in every if not progress.has(chunk.number)]
        _Fetch(disk, order, progress, tell).run(missing, len(every))
        progress.save()
        if _verified(disk, order, every, progress, tell):
            break
        progress.save()
    else:
        raise AgentError(f"{disk.path} gives back other bytes than were written")
    _finish(disk, order)


def _check(disk: BlockDevice, order: Order) -> None:
    needed = order.place + order.image.size
    if disk.size < needed:
        raise AgentError(f"{disk.path} has {disk.size} bytes, and {needed} are needed")
    if order.place % CHUNK or (order.place and len(order.head) > HEAD):
        raise AgentError(f"an image cannot begin at byte {order.place}")


def _clear(disk: BlockDevice, order: Order) -> None:
    """Nothing boots from here on; what the image has no data for is zeros."""
    disk.zero(0, HEAD)
    disk.flush()
    disk.discard()
    disk.zero(max(HEAD, disk.size - HEAD), disk.size - max(HEAD, disk.size - HEAD))
    for start, end in _holes(order):
        disk.zero(start, end - start)


def _holes(order: Order) -> Iterable[tuple[int, int]]:
    """The ranges of the disk, behind its first MiB, where the image is zeros."""
    at = max(HEAD, order.place)
    for chunk in order.image.chunks:
        start = order.place + chunk.number * CHUNK
        if start > at:
            yield at, start
        at = max(at, start + order.image.length(chunk.number))
    if order.place + order.image.size > at:
        yield at, order.place + order.image.size


class _Fetch:
    """Chunks on their way to the disk."""

    def __init__(self, disk: BlockDevice, order: Order, progress: Progress, tell: Tell) -> None:
        self._disk, self._order, self._progress, self._tell = disk, order, progress, tell
        self._url = http.parse(order.frames_url)
        self._inflate = Decompressor().into
        self._lock = threading.Lock()
        self._groups: deque[deque[Chunk]] = deque()
        self._last_news = time.monotonic()
        self._done = 0
        self._error: AgentError | None = None

    def run(self, chunks: list[Chunk], total: int) -> None:
        """Fetch and write all of `chunks`; `total` is what the whole image has."""
        self._groups.extend(_groups(chunks))
        self._done, self._last_news = total - len(chunks), time.monotonic()
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        saved = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(SAVE_SECONDS / 10 / len(threads))
            self._tell("writing", self._done, total)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._progress.save()
                saved = time.monotonic()
        self._tell("writing", self._done, total)
        if self._error:
            self._progress.save()
            raise self._error

    def _work(self) -> None:
        buffer, pause = mmap.mmap(-1, CHUNK), FIRST_PAUSE
        while (group := self._next()) and not self._error:
            try:
                with http.Connection(self._url) as connection:
                    while group:
                        self._take(connection, group, buffer)
                        pause = FIRST_PAUSE
                        group = self._next() or deque()
            except AgentError as error:
                self._error = self._error or error
            except OSError as error:
                self._groups.appendleft(group)
                if time.monotonic() - self._last_news > PATIENCE_SECONDS:
                    reason = error.strerror or str(error)
                    self._error = AgentError(f"the image cannot be fetched any more: {reason}")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _next(self) -> deque[Chunk] | None:
        with contextlib.suppress(IndexError):
            return self._groups.popleft()
        return None

    def _take(self, connection: http.Connection, group: deque[Chunk], buffer: mmap.mmap) -> None:
        """Fetch a group; what is done leaves it, so that what is left can be asked for again."""
        start, last = group[0].offset, group[-1]
        connection.ask(start, last.offset + last.length - start)
        while group:
            chunk = group[0]
            frame = connection.take(chunk.length)
            self._write(chunk, frame, buffer)
            group.popleft()

    def _write(self, chunk: Chunk, frame: bytes, buffer: mmap.mmap) -> None:
        length = self._order.image.length(chunk.number)
        whole = self._inflate(frame, buffer, length)
        if not whole or hashlib.sha256(memoryview(buffer)[:length]).digest() != chunk.sha256:
            # Nothing of it is written. Another try may pass by whatever spoiled it.
            raise ConnectionError(f"chunk {chunk.number} arrived damaged")
        self._disk.write(buffer, length, self._order.place + chunk.number * CHUNK)
        self._progress.add(chunk.number)
        with self._lock:
            self._done += 1
            self._last_news = time.monotonic()


def _groups(chunks: Iterable[Chunk]) -> Iterable[deque[Chunk]]:
    """Chunks whose frames touch, up to GROUP_BYTES."""
    group: deque[Chunk] = deque()
    for chunk in chunks:
        if group:
            end = group[-1].offset + group[-1].length
            if chunk.offset != end or chunk.offset + chunk.length - group[0].offset > GROUP_BYTES:
                yield group
                group = deque()
        group.append(chunk)
    if group:
        yield group


def _verified(
    disk: BlockDevice, order: Order, chunks: list[Chunk], progress: Progress, tell: Tell
) -> bool:
    """Read everything back; what is not right has to be fetched again."""
    wrong, buffer = 0, mmap.mmap(-1, CHUNK)
    for done, chunk in enumerate(chunks):
        length = order.image.length(chunk.number)
        disk.read(buffer, length, order.place + chunk.number * CHUNK)
        if hashlib.sha256(memoryview(buffer)[:length]).digest() != chunk.sha256:
            progress.drop(chunk.number)
            wrong += 1
        if not done % 64:
            tell("verifying", done, len(chunks))
    for start, end in _holes(order):
        for at in (*range(start, end, PROBE_STEP), max(start, end - PROBE)):
            length = min(PROBE, end - at)
            disk.read(buffer, length, at)
            if any(buffer[:length]):
                raise AgentError(f"{disk.path} does not read as zeros at byte {at}")
    tell("verifying", len(chunks), len(chunks))
    return not wrong


def _finish(disk: BlockDevice, order: Order) -> None:
    """The first MiB, last; it is taken back where it does not read as written."""
    buffer, again = mmap.mmap(-1, HEAD), mmap.mmap(-1, HEAD)
    if order.place:
        buffer[: len(order.head)] = order.head
    else:
        _fetch_first(order, buffer)
    disk.write(buffer, HEAD, 0)
    disk.flush()
    disk.read(again, HEAD, 0)
    if again[:] != buffer[:]:
        disk.zero(0, HEAD)
        disk.flush()
        raise AgentError(f"{disk.path} gives back another first MiB than was written")


def _fetch_first(order: Order, buffer: mmap.mmap) -> None:
    """Chunk 0 of an image that begins where the disk does; it may be zeros."""
    for chunk in order.image.chunks[:1]:
        if chunk.number == 0:
            with http.Connection(http.parse(order.frames_url)) as connection:
                connection.ask(chunk.offset, chunk.length)
                frame = connection.take(chunk.length)
            length = order.image.length(0)
            whole = Decompressor().into(frame, buffer, length)
            if not whole or hashlib.sha256(memoryview(buffer)[:length]).digest() != chunk.sha256:
                raise AgentError("the first chunk arrived damaged")
