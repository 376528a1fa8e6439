"""What is asked of a disk that is written, and the node's own: a block device, or a file.

ioctl(2) numbers: <linux/fs.h>.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from .errors import AgentError

BLOCK = 4096
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2


class Disk(Protocol):
    """Offsets and lengths are bytes. `name` is for messages.

    `reads_ahead` is how many reads are worth asking for before the first is waited for. The
    buffers begin on a page. Threads may use it at once where its source of data has several.
    """

    name: str
    size_bytes: int
    reads_ahead: int

    def write(self, offset: int, data: memoryview) -> None:
        """Write or send off; `data` is the caller's again when this returns."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range zeros."""

    def discard(self) -> None:
        """Nothing on the disk is needed, as far as it wants to know."""

    def read_into(self, offset: int, target: memoryview) -> int:
        """Ask for bytes; a ticket for `wait`."""

    def wait(self, ticket: int) -> None:
        """Return when what was asked for is in its target."""

    def flush(self) -> None:
        """Bring all to stable storage."""


class BlockDevice:
    """A disk, or a file in its place, that is written in whole blocks past the page cache.

    What is read back therefore comes from the disk itself. Every method raises AgentError where
    the disk does not do it.
    """

    reads_ahead = 1

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            self._file = os.open(path, os.O_RDWR)
            try:
                self._direct = os.open(path, os.O_RDWR | os.O_DIRECT)
            except OSError:
                self._direct = os.dup(self._file)  # a filesystem without it
        except OSError as error:
            raise self._failed("opened", error) from None
        self._is_disk = stat.S_ISBLK(os.fstat(self._file).st_mode)
        self.size_bytes = os.lseek(self._file, 0, os.SEEK_END)

    def __enter__(self) -> "BlockDevice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._direct)
        os.close(self._file)

    def write(self, offset: int, data: memoryview) -> None:
        """Bytes, in a buffer that begins on a page, for byte `offset`."""
        self._move(os.pwritev, data, offset, "written")

    def read_into(self, offset: int, target: memoryview) -> int:
        """Fill a buffer that begins on a page; nothing is left to wait for."""
        self._move(os.preadv, target, offset, "read")
        return 0

    def wait(self, ticket: int) -> None:
        """It is there."""

    def zero(self, offset: int, length: int) -> None:
        """Make a range zeros; the disk does it by itself where it can."""
        if not length:
            return
        try:
            if self._is_disk:
                fcntl.ioctl(self._file, BLKZEROOUT, struct.pack("QQ", offset, length))
            else:
                _punch(self._file, offset, length)
        except OSError as error:
            raise self._failed("cleared", error) from None

    def discard(self) -> None:
        """Tell the disk that nothing on it is needed; one that cannot do that is left as it is."""
        if self._is_disk:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._file, BLKDISCARD, struct.pack("QQ", 0, self.size_bytes))

    def flush(self) -> None:
        """Bring all to stable storage."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._failed("flushed", error) from None

    def _move(self, call: Callable[..., int], view: memoryview, at: int, done: str) -> None:
        descriptor = self._file if (len(view) | at) % BLOCK else self._direct
        try:
            while view:
                count = call(descriptor, [view], at)
                if not count:
                    raise OSError(errno.EIO, "unexpected end")
                view, at = view[count:], at + count
        except OSError as error:
            raise self._failed(done, error) from None

    def _failed(self, what: str, error: OSError) -> AgentError:
        return AgentError(f"{self.name} cannot be {what}: {error.strerror}")


def _punch(descriptor: int, at: int, length: int) -> None:
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE, which os does not have."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    if libc.fallocate(descriptor, mode, ctypes.c_int64(at), ctypes.c_int64(length)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
