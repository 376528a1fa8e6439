"""Chunks from an HTTP server, over several connections, and what is multicast of them.

Each connection has a thread that fetches, hashes and inflates frames, and hands on their chunks.
One that breaks begins again at the first frame that did not arrive. A frame is hashed as it came:
it is shorter than its chunk, and libzstd sees nothing that was not signed. SHA-512/256 is what a
64-bit processor without instructions for a hash is quickest at. Of the chunk a CRC-32 is kept, for
the reading back: a disk errs, it does not forge.
"""

import contextlib
import hashlib
import mmap
import queue
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from . import cipher, http, multicast
from .console import say
from .errors import AgentError
from .layout import CHUNK
from .not_now import NotNow
from .way import Way
from .write_list import Cast, Work, WriteList
from .zstd import Decompressor

CONNECTIONS = 4
LISTENERS = 2
ARRIVED_LIMIT = 16
GROUP_BYTES = 4 << 20
"""Frames that lie one behind the other are asked for together, up to so many bytes."""

Put = Callable[[Work, memoryview], None]
Tick = Callable[[], None]


class Patience(NamedTuple):
    """In seconds: how long nothing may arrive, how long a connection that broke is left alone at
    first and at most, how often it is told how far it is, and how long a multicast may bring
    nothing right.
    """

    silence: float = 300.0
    first_pause: float = 0.2
    longest_pause: float = 5.0
    tick: float = 0.5
    wrong_sender: float = multicast.LEAVE_SECONDS


PATIENCE = Patience()


class Fetch:
    """The chunks of a write list, as a source of the writer's.

    `interface` is where a multicast may come; without one, everything is fetched. `token` is sent
    to the server.
    """

    def __init__(
        self,
        layout: WriteList,
        interface: str = "",
        patience: Patience = PATIENCE,
        token: str = "",
    ) -> None:
        self.layout, self._token = layout, token
        self._interface, self._patience = interface, patience
        self._casts = [
            (piece.frames_url, piece.cast) for piece in layout.pieces if piece.cast and interface
        ]
        self._inflate = Decompressor().into
        self._lock = threading.Lock()
        self._groups: deque[deque[Work]] = deque()
        self._last_news = 0.0
        self._error: AgentError | None = None
        self._sums: dict[int, int] = {}
        self._ways: dict[tuple[str, int], Way] = {}

    def bring(self, wanted: Sequence[Work], put: Put, tick: Tick) -> None:
        """Put all of `wanted`: of a piece of which nothing is there first what is multicast."""
        left = {work.number: work for work in wanted}

        def arrived(work: Work, view: memoryview) -> None:
            self._sums[work.number] = zlib.crc32(view)
            put(work, view)
            del left[work.number]

        while self._casts:
            url, source = self._casts.pop()
            cast = [work for work in self.layout.rest if work.url == url]
            if cast and all(work.number in left for work in cast):
                say(f"listening on port {source.port} for {len(cast)} chunks")
                self._listen(cast, source, arrived, tick)
                heard = sum(work.number not in left for work in cast)
                say(f"{heard} of them arrived by multicast")
        self._groups.extend(_groups(list(left.values())))
        self._last_news = time.monotonic()
        self._watch([lambda: self._work(arrived)] * CONNECTIONS, tick)

    def _listen(self, cast: Sequence[Work], source: Cast, put: Put, tick: Tick) -> None:
        """Put what comes by itself; what is not whole, or does not come, is left."""
        arrived: queue.Queue[tuple[Work, bytes] | None] = queue.Queue(ARRIVED_LIMIT)
        leave: list[Callable[[], None]] = []
        self._last_news = time.monotonic()

        def hear() -> None:
            for one in multicast.frames(cast, source.port, self._interface, leave.append):
                arrived.put(one)
            for _ in range(LISTENERS):
                arrived.put(None)

        def take() -> None:
            buffer = mmap.mmap(-1, CHUNK)
            while one := arrived.get():
                work, frame = one
                if not self._error and self._is_whole(work, source.key, frame, buffer):
                    with self._failing():
                        put(work, memoryview(buffer)[: work.length])
                        self._last_news = time.monotonic()

        def watch() -> None:
            tick()
            if time.monotonic() - self._last_news > self._patience.wrong_sender:
                while leave:
                    leave.pop()()

        self._watch([hear, *[take] * LISTENERS], watch)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """The first error in a thread ends the others' work as well."""
        try:
            yield
        except AgentError as error:
            self._error = self._error or error

    def _watch(self, tasks: Iterable[Callable[[], None]], tick: Tick) -> None:
        """Run all tasks, each in a thread, and raise what went wrong in one."""
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(self._patience.tick / len(threads))
            tick()
        if self._error:
            raise self._error

    def content(self, work: Work) -> bytes:
        """One chunk, fetched alone."""
        content: list[bytes] = []
        self._groups.append(deque([work]))
        self._last_news = time.monotonic()
        self._work(lambda _work, view: content.append(bytes(view)))
        if self._error:
            raise self._error
        if not work.holds(content[0]):
            raise AgentError(f"the frame of the chunk for byte {work.at} holds a different one")
        return content[0]

    def is_in(self, work: Work, view: memoryview) -> bool:
        """Whether these bytes are a chunk as it arrived; as it was signed, if it did not yet."""
        if work.number not in self._sums:
            return work.holds(view)
        return zlib.crc32(view) == self._sums[work.number]

    def _work(self, put: Put) -> None:
        buffer, pause = mmap.mmap(-1, CHUNK), self._patience.first_pause
        while not self._error and (group := self._next()):
            try:
                place = http.parse(group[0].url)
                way = self._ways.setdefault(place[:2], Way(place.host, place.port))
                with self._failing(), http.Connection(place, self._token, way) as connection:
                    while group:
                        self._take(connection, group, buffer, put)
                        pause = self._patience.first_pause
            except OSError as error:
                way.failed()
                self._groups.appendleft(group)
                self._pause(max(pause, error.wait if isinstance(error, NotNow) else 0), error)
                pause = min(2 * pause, self._patience.longest_pause)

    def _pause(self, seconds: float, error: OSError) -> None:
        """Leave the server alone; not where nothing would have come for too long by then."""
        began = time.monotonic()
        if began + seconds - self._last_news > self._patience.silence:
            reason = error.strerror or str(error)
            self._error = self._error or AgentError(f"the image can no longer be fetched: {reason}")
        while not self._error and (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(left, self._patience.tick))

    def _next(self) -> deque[Work] | None:
        with contextlib.suppress(IndexError):
            return self._groups.popleft()
        return None

    def _take(
        self,
        connection: http.Connection,
        group: deque[Work],
        buffer: mmap.mmap,
        put: Put,
    ) -> None:
        """Fetch a group; what is done leaves it, so that what is left can be asked for again."""
        start, last = group[0].chunk.offset, group[-1].chunk
        connection.ask(start, last.offset + last.length - start)
        while group:
            work = group[0]
            frame = connection.take(work.chunk.length)
            if not self._is_whole(work, work.key, frame, buffer):
                # Nothing of it is written. Another try may pass by whatever spoiled it.
                raise ConnectionError(f"the chunk for byte {work.at} arrived damaged")
            put(work, memoryview(buffer)[: work.length])
            with self._lock:
                self._last_news = time.monotonic()
            group.popleft()

    def _is_whole(self, work: Work, key: bytes, frame: bytes, buffer: mmap.mmap) -> bool:
        """Whether the buffer now begins with the chunk that the frame should hold.

        `key` is what the frame was encrypted with, if it was.
        """
        if key:
            frame = cipher.decrypted(key, work.chunk.offset, frame)
        digest = hashlib.new("sha512_256", frame).digest()
        return digest == work.chunk.frame_digest and self._inflate(frame, buffer, work.length)


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
