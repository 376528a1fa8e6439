"""A file in a folder that others can write: opened without following a link, and only if plain.

A link there may lead to anything this process can read, and opening a pipe may never return.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bakery.host.errors import BakeryError

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def opened(path: Path) -> BinaryIO:
    """The file, unbuffered; BakeryError for a link, a pipe, a device, or what is not there."""
    try:
        if stat.S_ISREG(os.lstat(path).st_mode):
            file = os.fdopen(os.open(path, FLAGS), "rb", buffering=0)
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            file.close()
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    raise refused(path)


def refused(path: Path) -> BakeryError:
    """What is said of a link, a folder, a device or a pipe where a file should be."""
    link = path.is_symlink()
    what = f"a link, to {path.readlink()}" if link else "not a regular file"
    return BakeryError(f"{path} is {what}", "put the file itself there")


@dataclass(frozen=True)
class Seal:
    """A file as it was when it was looked at: it is opened as that, or not at all."""

    path: Path
    mark: tuple[int, ...]

    def open(self) -> BinaryIO:
        """The file; BakeryError where it is another one by now, or was written to."""
        file = opened(self.path)
        if _mark(file) != self.mark:
            file.close()
            raise BakeryError(f"{self.path} has changed since it was checked")
        return file


def seal(path: Path) -> Seal:
    """The file as it is now; BakeryError as of `opened`."""
    with opened(path) as file:
        return Seal(path, _mark(file))


def _mark(file: BinaryIO) -> tuple[int, ...]:
    told = os.fstat(file.fileno())
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns
