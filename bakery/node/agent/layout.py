"""What goes where on a disk: ranges with data, and holes between them that are to read as zeros."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

CHUNK = 1 << 20
HEAD = 1 << 20
"""The first MiB of a disk, which holds the partition table and whatever firmware would boot."""


class Range(Protocol):
    """`length` bytes from byte `at` of the disk on."""

    @property
    def at(self) -> int:
        """Its first byte."""

    @property
    def length(self) -> int:
        """Its bytes."""


class Part(Range, Protocol):
    """A range to be written: at most CHUNK bytes, on one side of HEAD."""

    @property
    def number(self) -> int:
        """Which it is; no other has the same."""


P = TypeVar("P", bound=Part)


class Layout(Generic[P]):
    """`spans` are the pieces on the disk, each from its first byte to the one behind it.

    They lie in order, and not over one another; `parts` is the data in them, in order. `head` is
    what of it lies in the disk's first MiB, `rest` is behind it, `end` the first byte behind all.
    """

    def __init__(self, spans: Iterable[tuple[int, int]], parts: Iterable[P]) -> None:
        self.head: list[P] = []
        self.rest: list[P] = []
        for part in parts:
            (self.head if part.at < HEAD else self.rest).append(part)
        self._spans = list(spans)
        self.end = self._spans[-1][1] if self._spans else 0

    @property
    def data_bytes(self) -> int:
        """The data behind the first MiB."""
        return sum(part.length for part in self.rest)

    def holes(self) -> Iterator[tuple[int, int]]:
        """From where to where, behind the first MiB, the pieces have no data."""
        parts = deque(self.rest)
        for start, end in self._spans:
            at = max(HEAD, start)
            while parts and parts[0].at < end:
                part = parts.popleft()
                if part.at > at:
                    yield at, part.at
                at = part.at + part.length
            if at < end:
                yield at, end
