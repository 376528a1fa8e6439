"""A disk, or a file in its place, that is written in whole blocks past the page cache.

What is read back therefore comes from the disk itself. ioctl(2) numbers: <linux/fs.h>.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Callable
from types import TracebackType

from .errors import AgentError

BLOCK = 4096
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127F
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE = 1, 2


class BlockDevice:
    """`size` is bytes. Every method raises AgentError where the disk does not do it."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR)
            try:
                self._direct = os.open(path, os.O_RDWR | os.O_DIRECT)
            except OSError:
                self._direct = os.dup(self._file)  # a filesystem without it
        except OSError as error:
            raise self._failed("opened", error) from None
        self._is_disk = stat.S_ISBLK(os.fstat(self._file).st_mode)
        self.size = os.lseek(self._file, 0, os.SEEK_END)

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

    def write(self, buffer: mmap.mmap, length: int, at: int) -> None:
        """The first `length` bytes of a buffer, which begins on a page, to byte `at`."""
        self._move(os.pwritev, memoryview(buffer)[:length], at, "written")

    def read(self, buffer: mmap.mmap, length: int, at: int) -> None:
        """Fill the first `length` bytes of a buffer from byte `at` on."""
        self._move(os.preadv, memoryview(buffer)[:length], at, "read")

    def zero(self, at: int, length: int) -> None:
        """Make a range zeros; the disk does it by itself where it can."""
        if not length:
            return
        try:
            if self._is_disk:
                fcntl.ioctl(self._file, BLKZEROOUT, struct.pack("QQ", at, length))
            else:
                _punch(self._file, at, length)
        except OSError as error:
            raise self._failed("cleared", error) from None

    def discard(self) -> None:
        """Tell the disk that nothing on it is needed; one that cannot do that is left as it is."""
        if self._is_disk:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._file, BLKDISCARD, struct.pack("QQ", 0, self.size))

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
                    raise OSError(errno.EIO, "it ends too early")
                view, at = view[count:], at + count
        except OSError as error:
            raise self._failed(done, error) from None

    def _failed(self, what: str, error: OSError) -> AgentError:
        return AgentError(f"{self.path} cannot be {what}: {error.strerror}")


def _punch(descriptor: int, at: int, length: int) -> None:
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE, which os does not have."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    if libc.fallocate(descriptor, mode, ctypes.c_int64(at), ctypes.c_int64(length)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
