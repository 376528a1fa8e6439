"""A file that grows from its start, zeros left out: what comes as a stream becomes sparse again."""

import os
from pathlib import Path
from typing import Self

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
        self._gathered = bytearray()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
        return self._end + len(self._gathered)

    def restart(self) -> None:
        """Forget all that was written."""
        self._gathered.clear()
        os.ftruncate(self._descriptor, 0)
        self._end = 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        self._gathered += piece
        while self.size_bytes - self._end >= self._room():
            room = self._room()
            self._put(bytes(self._gathered[:room]))
            del self._gathered[:room]

    def flush(self) -> None:
        """Write what was gathered."""
        if self._gathered:
            self._put(bytes(self._gathered))
            self._gathered.clear()

    def sync(self) -> None:
        """Write what was gathered and bring all to the disk (fsync(2))."""
        self.flush()
        os.fsync(self._descriptor)

    def _room(self) -> int:
        """The bytes up to the next multiple of GATHER_BYTES."""
        return GATHER_BYTES - self._end % GATHER_BYTES

    def _put(self, content: bytes) -> None:
        """Write `content` at the end, which lies in one gathering, leaving zero blocks out."""
        if content != _ZEROS[: len(content)]:
            for start, stop in _runs(content, self._end % BLOCK_BYTES):
                _write_all(self._descriptor, content[start:stop], self._end + start)
        os.ftruncate(self._descriptor, self._end + len(content))
        self._end += len(content)


def _runs(content: bytes, skew: int) -> list[tuple[int, int]]:
    """The ranges of `content` that are to be written; it begins `skew` bytes into a block."""
    runs: list[tuple[int, int]] = []
    start = 0
    while start < len(content):
        stop = min(len(content), start + BLOCK_BYTES - (start + skew) % BLOCK_BYTES)
        block = content[start:stop]
        if block != _ZERO_BLOCK:
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], stop)
            else:
                runs.append((start, stop))
        start = stop
    return runs


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    while content:
        count = os.pwrite(descriptor, content, offset)
        content, offset = content[count:], offset + count
