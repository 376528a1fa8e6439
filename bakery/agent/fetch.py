"""Chunks from an HTTP server onto a disk, over several connections.

Each connection has a thread that fetches, hashes, inflates and writes frames. One that breaks
begins again at the first frame that did not arrive. A frame is hashed as it came: it is shorter
than its chunk, and libzstd sees nothing that was not signed. SHA-512/256 is what a 64-bit processor
without instructions for a hash is quickest at. Of the chunk a CRC-32 is kept, for the reading back:
a disk errs, it does not forge.
"""

import contextlib
import hashlib
import mmap
import queue
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable

from . import http
from .disk import BlockDevice
from .errors import AgentError
from .image import CHUNK
from .order import Work
from .progress import Progress
from .zstd import Decompressor

CONNECTIONS = 4
LISTENERS = 2
ARRIVED_LIMIT = 16
GROUP_BYTES = 4 << 20
"""Frames that lie one behind the other are asked for together, up to so many bytes."""
SAVE_SECONDS = 5.0
TELL_SECONDS = 0.5
PATIENCE_SECONDS = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

Tell = Callable[[str, int, int], None]


class Fetch:
    """Chunks on their way to the disk."""

    def __init__(self, disk: BlockDevice, progress: Progress, tell: Tell) -> None:
        self._disk, self._progress, self._tell = disk, progress, tell
        self._inflate = Decompressor().into
        self._lock = threading.Lock()
        self._groups: deque[deque[Work]] = deque()
        self._last_news = 0.0
        self._done = 0
        self._error: AgentError | None = None
        self._written: dict[int, int] = {}

    def run(self, work: list[Work], total: int) -> None:
        """Fetch and write all of `work`; `total` is what there is, done before included."""
        self._groups.extend(_groups(work))
        self._done, self._last_news = total - len(work), time.monotonic()
        self._watch([self._work] * CONNECTIONS, total)
        if self._error:
            self._progress.save()
            raise self._error

    def listen(self, frames: Iterable[tuple[Work, bytes]], total: int) -> None:
        """Write what comes by itself: frames that are not whole, and those that do not come, are
        left for `run`.
        """
        arrived: queue.Queue[tuple[Work, bytes] | None] = queue.Queue(ARRIVED_LIMIT)

        def hear() -> None:
            for one in frames:
                arrived.put(one)
            for _ in range(LISTENERS):
                arrived.put(None)

        def take() -> None:
            buffer = mmap.mmap(-1, CHUNK)
            while one := arrived.get():
                work, frame = one
                if not self._error and self._is_whole(work, frame, buffer):
                    self._keep(work, buffer)

        self._watch([hear, *[take] * LISTENERS], total)
        if self._error:
            raise self._error

    def _keep(self, work: Work, buffer: mmap.mmap) -> None:
        try:
            self._write(work, buffer)
        except AgentError as error:
            self._error = self._error or error

    def _watch(self, tasks: Iterable[Callable[[], None]], total: int) -> None:
        """Run all tasks, each in a thread; tell how far they are, and note it on the disk."""
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
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

    def content(self, work: Work) -> bytes:
        """One chunk, fetched alone."""
        content: list[bytes] = []
        self._groups.append(deque([work]))
        self._last_news = time.monotonic()
        self._work(lambda _work, buffer: content.append(buffer[: work.length]))
        if self._error:
            raise self._error
        if not work.holds(content[0]):
            raise AgentError(f"the frame of the chunk for byte {work.at} holds another one")
        return content[0]

    def is_in(self, work: Work, buffer: mmap.mmap) -> bool:
        """Whether a buffer begins with a chunk as it was written; by its sha256, if not by us."""
        if work.number not in self._written:
            return work.is_in(buffer)
        return zlib.crc32(memoryview(buffer)[: work.length]) == self._written[work.number]

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
        """Whether the buffer now begins with the chunk that the frame should hold."""
        digest = hashlib.new("sha512_256", frame).digest()
        return digest == work.chunk.frame_digest and self._inflate(frame, buffer, work.length)

    def _write(self, work: Work, buffer: mmap.mmap) -> None:
        crc = zlib.crc32(memoryview(buffer)[: work.length])
        self._disk.write(buffer, work.length, work.at)
        self._written[work.number] = crc
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
