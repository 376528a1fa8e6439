"""Open a recovery archive: verified whole, then read again."""

import contextlib
import io
import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from bakery.host.errors import BakeryError
from bakery.recovery import age, header, keys
from bakery.recovery.members import Members

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 128 << 10  # a block of zstd


@contextlib.contextmanager
def opened(path: Path, private_key: Path) -> Iterator[BinaryIO]:
    """The plain tar of the recovery archive `path`, as a stream that cannot seek.

    Before anything is given out, all of the archive has been read once: every byte is authentic,
    it ends where it says, and every member of the tar is safe to restore (`members`). The stream
    reads the same open file once more, under the same checks: read it to its end. Raises
    BakeryError that names the file, for a wrong key as well.
    """
    identity = keys.private_key(private_key)
    with contextlib.closing(_file(path)) as file:
        with _named(path):
            header.check(file)
            for _ in _tar(file, identity):
                pass
        with contextlib.closing(_tar(file, identity)) as pieces:
            yield cast("BinaryIO", io.BufferedReader(_Stream(path, pieces), BUFFER_BYTES))


def _file(path: Path) -> BinaryIO:
    try:
        # A FIFO would keep us waiting for who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BakeryError(
            f"{path} cannot be read: {error.strerror}", "name the file that --recovery wrote"
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BakeryError(f"{path} is not a file", "name the file that --recovery wrote")
    return os.fdopen(descriptor, "rb")


def _tar(file: BinaryIO, identity: str) -> Generator[bytes]:
    """The tar in pieces, all checks made on the way; the last piece comes when all has passed."""
    from bakery.recovery import packing

    members = Members()
    limit = packing.limit_bytes(os.fstat(file.fileno()).st_size)
    held = b""
    with contextlib.closing(age.decrypted(file, identity)) as plain:
        for piece in packing.unpacked(plain, limit):
            members.feed(piece)
            if held:
                yield held
            held = piece
    members.finish()
    yield held


class _Stream(io.RawIOBase):
    """The pieces of a tar as a file to read."""

    def __init__(self, path: Path, pieces: Iterator[bytes]) -> None:
        self._path = path
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """As io.RawIOBase has it; BakeryError where the file was altered since it was verified."""
        view = memoryview(buffer).cast("B")
        with _named(self._path):
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return 0
                self._rest = memoryview(piece)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the archive's name before what is wrong with it."""
    try:
        yield
    except BakeryError as error:
        raise BakeryError(
            f"{path} cannot be opened as a recovery archive: {error.message}", error.hint
        ) from None
    except OSError as error:
        raise BakeryError(
            f"{path} cannot be read: {error.strerror}", "take another copy of it"
        ) from None
