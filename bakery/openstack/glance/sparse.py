"""A file that grows from its start, zeros left out: what comes as a stream becomes sparse again."""

import os
from pathlib import Path
from typing import Self

from bakery.host import folders

BLOCK_BYTES = 4096
GATHER_BYTES = 1 << 20
_ZERO_BLOCK = bytes(BLOCK_BYTES)
_ZEROS = bytes(GATHER_BYTES)


class SparseFile:
    """Appends to a file; a block of 4096 zero bytes at a multiple of 4096 becomes a hole.

    The file's size is at any time what of the stream it holds, so that after a kill an appending
    run can go on there. OSError where the disk is full.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, made where it is not there; writing goes on at its end."""
        self.path = path
        # One buffer for all that passes: new memory for every piece costs more than copying it.
        self._buffer = bytearray(GATHER_BYTES)
        self._gathered = 0
        folders.check(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o644)
        self._end = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    @property
    def size_bytes(self) -> int:
        """How much of the stream was taken."""
        return self._end + self._gathered

    def restart(self) -> None:
        """Forget all that was written."""
        self._gathered = 0
        os.ftruncate(self._descriptor, 0)
        self._end = 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        view = memoryview(piece)
        while view:
            # Up to the next multiple of GATHER_BYTES in the file.
            room = GATHER_BYTES - self.size_bytes % GATHER_BYTES
            part = view[:room]
            self._buffer[self._gathered : self._gathered + len(part)] = part
            self._gathered += len(part)
            view = view[len(part) :]
            if len(part) == room:
                self.flush()

    def flush(self) -> None:
        """Write what was gathered, leaving zero blocks out."""
        count = self._gathered
        if count and not self._buffer.startswith(_ZEROS[:count]):
            with memoryview(self._buffer) as view:
                for start, stop in _runs(self._buffer, count, self._end % BLOCK_BYTES):
                    _write_all(self._descriptor, view[start:stop], self._end + start)
        if count:
            os.ftruncate(self._descriptor, self._end + count)
        self._end += count
        self._gathered = 0

    def sync(self) -> None:
        """Write what was gathered and bring all to the disk (fsync(2))."""
        self.flush()
        os.fsync(self._descriptor)


def _runs(content: bytearray, count: int, skew: int) -> list[tuple[int, int]]:
    """The ranges of the first `count` bytes to be written; they begin `skew` bytes into a block."""
    runs: list[tuple[int, int]] = []
    start = 0
    while start < count:
        stop = min(count, start + BLOCK_BYTES - (start + skew) % BLOCK_BYTES)
        if content[start:stop] != _ZERO_BLOCK:
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], stop)
            else:
                runs.append((start, stop))
        start = stop
    return runs


def _write_all(descriptor: int, content: memoryview, offset: int) -> None:
    while content:
        count = os.pwrite(descriptor, content, offset)
        content, offset = content[count:], offset + count
