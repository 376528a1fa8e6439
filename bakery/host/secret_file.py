"""A file with a secret: it is taken only where nobody but its owner can read it."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from bakery.host.errors import BakeryError

LIMIT_BYTES = 4096


def check(path: Path) -> None:
    """BakeryError where other users can read the file; a pipe is nobody else's."""
    with _opened(path) as file:
        _check(path, file.fileno())


def first_line(path: Path) -> str:
    """Its first line without the line end, at most LIMIT_BYTES of it; errors as of `check`."""
    with _opened(path) as file:
        _check(path, file.fileno())
        line = file.readline(LIMIT_BYTES)
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise BakeryError(f"the first line of {path} is not UTF-8") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error


def _check(path: Path, descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        raise BakeryError(f"other users can read the secret in {path}", f"chmod 600 {path}")
