"""A disk is written so that it is either whole or not bootable, and what is on it is read back.

The one writer of a node's disk: of the node that writes its own, and of a conductor that has it
over the network. The first MiB is made zeros before anything else, and written when all the rest
has been read back and found right. Holes are made zeros by the disk itself; they are read back at
both ends and at every 16 MiB in between, since reading zeros costs as much as reading data.
"""

import contextlib
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, cycle
from typing import Generic, NamedTuple, Protocol, TypeVar

from .disk import BLOCK, Disk
from .errors import AgentError
from .layout import CHUNK, HEAD, Layout, P, Range
from .marks import Marks

# Where GPT keeps its second copy (UEFI 2.10, 5.3.1); an old one would be believed.
TAIL = 1 << 20
PROBE, PROBE_STEP = BLOCK, 16 << 20
ROW = 64
SAVE_SECONDS = 5.0

R = TypeVar("R", bound=Range)
Tell = Callable[[str, int, int], None]
"""Takes `writing` or `verifying`, and the bytes done and in all; what it raises ends the writing.

Each `verifying` begins with 0 bytes done, before anything is read back.
"""


class Mismatch(AgentError):
    """The disk does not give back what it was given for byte `at`."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


class Source(Protocol[P]):
    """Where the data comes from."""

    @property
    def layout(self) -> Layout[P]:
        """What goes where."""

    def bring(
        self, wanted: Sequence[P], put: Callable[[P, memoryview], None], tick: Callable[[], None]
    ) -> None:
        """Hand all of `wanted` to `put`, whole and checked, in whatever order and threads.

        `tick` is called now and then meanwhile, by the thread that called this.
        """

    def content(self, part: P) -> bytes:
        """The data of one part of the head, checked."""

    def is_in(self, part: P, view: memoryview) -> bool:
        """Whether these bytes are the data of `part`."""


def write(
    disk: Disk, source: Source[P], tell: Tell, marks: Marks | None = None, rounds: int = 1
) -> None:
    """Bring all that `source` has onto the disk, read it back, and make the disk bootable at last.

    Where `marks` tell of an earlier start, it continues from there. What does not read back as it
    was written is written again, up to `rounds` times in all. Raises AgentError where the disk is
    too small, Mismatch where it gives back other bytes, and whatever `disk`, `source` and `tell`
    raise. After any of them the disk does not boot, as far as it could still be reached.
    """
    end = source.layout.end
    if disk.size_bytes < end:
        raise AgentError(f"{disk.name} has {disk.size_bytes} bytes, but {end} are needed")
    _Writer(disk, source, tell, marks or Marks()).run(rounds)


class _Writer(Generic[P]):
    def __init__(self, disk: Disk, source: Source[P], tell: Tell, marks: Marks) -> None:
        self._disk, self._source, self._tell, self._marks = disk, source, tell, marks
        self._layout = source.layout
        self._total = self._layout.data_bytes
        self._lock = threading.Lock()
        self._done, self._saved = 0, time.monotonic()

    def run(self, rounds: int) -> None:
        if self._marks.resume():
            self._recognize()
        else:
            self._tell("writing", 0, self._total)  # a large disk may take minutes to be cleared
            self._clear()
            self._marks.save()
        for _ in range(rounds):
            self._bring()
            wrong = self._verify()
            if not wrong:
                break
            self._marks.save()
        else:
            raise self._mismatch("other bytes than were written", wrong[0].at)
        self._finish()

    def _recognize(self) -> None:
        """Mark what was written after the marks were saved last, before the node went down.

        It is written nearly in order, so after a row of others there is no more of it.
        """
        others = 0
        for part, view in _read(self._disk, self._unmarked()):
            others = 0 if self._source.is_in(part, view) else others + 1
            if not others:
                self._marks.add(part.number)
            elif others >= ROW:
                return

    def _unmarked(self) -> list[P]:
        return [part for part in self._layout.rest if not self._marks.has(part.number)]

    def _clear(self) -> None:
        """Nothing boots from here on; what there is no data for becomes zeros."""
        disk = self._disk
        self._take_back()
        disk.discard()
        tail = max(HEAD, disk.size_bytes - TAIL)
        disk.zero(tail, disk.size_bytes - tail)
        for start, end in self._layout.holes():
            disk.zero(start, end - start)

    def _take_back(self) -> None:
        self._disk.zero(0, min(HEAD, self._disk.size_bytes))
        self._disk.flush()

    def _bring(self) -> None:
        wanted = self._unmarked()
        self._done = self._total - sum(part.length for part in wanted)
        try:
            self._source.bring(wanted, self._put, self._tick)
        except AgentError:
            self._marks.save()
            raise
        self._tick()
        self._disk.flush()
        self._marks.save()

    def _put(self, part: P, view: memoryview) -> None:
        self._disk.write(part.at, view)
        self._marks.add(part.number)
        with self._lock:
            self._done += part.length

    def _tick(self) -> None:
        self._tell("writing", self._done, self._total)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._marks.save()
            self._saved = time.monotonic()

    def _verify(self) -> list[P]:
        """Read everything back; the parts that have to be written again."""
        self._tell("verifying", 0, self._total)
        wrong, done = [], 0
        for part, view in _read(self._disk, self._layout.rest):
            if not self._source.is_in(part, view):
                self._marks.drop(part.number)
                wrong.append(part)
            done += part.length
            self._tell("verifying", done, self._total)
        self._probe(self._layout.holes())
        return wrong

    def _probe(self, holes: Iterable[tuple[int, int]]) -> None:
        """Look into holes."""
        for place, view in _read(self._disk, chain.from_iterable(map(_places, holes))):
            if any(view):
                raise self._mismatch("other bytes than zeros", place.at)

    def _finish(self) -> None:
        """Write the first MiB; it is taken back where it does not read as written."""
        head, room = mmap.mmap(-1, HEAD), min(HEAD, self._disk.size_bytes)
        end = 0
        for part in self._layout.head:
            head[part.at : part.at + part.length] = self._source.content(part)
            end = min(room, -(-(part.at + part.length) // BLOCK) * BLOCK)
        try:
            self._write_head(memoryview(head)[:end], room)
        except BaseException:
            with contextlib.suppress(Exception):
                self._take_back()
            raise

    def _write_head(self, head: memoryview, room: int) -> None:
        end = len(head)
        self._disk.write(0, head)
        self._disk.zero(end, room - end)  # where the marks were
        self._disk.flush()
        for place, view in _read(self._disk, [_Place(0, end)] if end else ()):
            if view != head:
                raise self._mismatch("another first MiB than was written", place.at)
        self._probe([(end, room)] if end < room else ())

    def _mismatch(self, what: str, at: int) -> Mismatch:
        return Mismatch(f"{self._disk.name} gives back {what} at byte {at}", at)


class _Place(NamedTuple):
    at: int
    length: int


def _places(hole: tuple[int, int]) -> Iterable[_Place]:
    """Where a hole is looked into: its start, every 16 MiB, its end."""
    start, end = hole
    starts = dict.fromkeys((*range(start, end, PROBE_STEP), max(start, end - PROBE)))
    return (_Place(at, min(PROBE, end - at)) for at in starts)


def _read(disk: Disk, places: Iterable[R]) -> Iterator[tuple[R, memoryview]]:
    """Each place with what the disk holds there, good until the next; asked for ahead of time."""
    waiting: deque[tuple[R, memoryview, int]] = deque()
    buffers = cycle([mmap.mmap(-1, CHUNK) for _ in range(disk.reads_ahead)])
    for place in places:
        view = memoryview(next(buffers))[: place.length]
        waiting.append((place, view, disk.read_into(place.at, view)))
        if len(waiting) == disk.reads_ahead:
            yield _arrived(disk, waiting)
    while waiting:
        yield _arrived(disk, waiting)


def _arrived(disk: Disk, waiting: deque[tuple[R, memoryview, int]]) -> tuple[R, memoryview]:
    place, view, ticket = waiting.popleft()
    disk.wait(ticket)
    return place, view
