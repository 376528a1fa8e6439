"""Write a recovery archive: tar → checked → zstd → age, as it streams by."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from bakery.errors import BakeryError
from bakery.recovery import keys, stanza
from bakery.recovery.members import Members
from bakery.recovery.payload import Encryption
from bakery.recovery.stanza import FILE_KEY_BYTES
from bakery.workdir import sync

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NOTHING_SEALED = "nothing was written; what is wrong with the tar is a defect of bakery"


@contextlib.contextmanager
def sealing(path: Path, public_key: Path) -> Iterator[BinaryIO]:
    """A stream for one tar, which becomes the recovery archive `path`, mode 0600.

    The tar is of pax format, written without seeking: `tarfile.open(mode="w|", fileobj=stream)`.

    What is written is held to the same rules as what `opened` reads: an archive that could not be
    restored is refused while it is made. The file appears, whole, when the block ends well, and not
    at all otherwise; what is on the disk meanwhile, beside it, is encrypted. An archive that is
    there already is not written over. Raises BakeryError, for a key that is none as well.
    """
    recipient = keys.public_key(public_key)
    if os.path.lexists(path):
        raise BakeryError(
            f"{path} is there already, and may be all that is left of what it holds",
            "choose another name, or move it away",
        )
    with _draft(path) as file:
        stream = _Sealed(path, file, recipient)
        yield cast("BinaryIO", stream)
        stream.finish()


class _Sealed(io.RawIOBase):
    """What is written to it goes encrypted into `file`."""

    def __init__(self, path: Path, file: IO[bytes], recipient: keys.Recipient) -> None:
        from bakery.recovery import packing

        file_key = os.urandom(FILE_KEY_BYTES)
        self._path = path
        self._file = file
        self._members = Members()
        self._plain_bytes = 0
        self._frame = packing.compressor()
        self._to_file(stanza.encoded(recipient.wrap(file_key), file_key))
        self._encryption = Encryption(file_key, self._to_file)

    def writable(self) -> bool:
        return True

    def write(self, content: "ReadableBuffer") -> int:
        """Take more of the tar; BakeryError where it could not be restored."""
        plain = bytes(content)
        with self._named():
            self._members.feed(plain)
        self._plain_bytes += len(plain)
        self._encryption.feed(self._frame.compress(plain))
        return len(plain)

    def finish(self) -> None:
        """The tar has come to its end: so does the archive."""
        from bakery.recovery import packing

        with self._named():
            self._members.finish()
        self._encryption.feed(self._frame.flush())
        self._encryption.finish()
        if self._plain_bytes > packing.limit_bytes(self._file.tell()):
            raise BakeryError(
                f"{_begin(self._path)}: {self._plain_bytes} bytes of it pack into "
                f"{self._file.tell()}, which would pass for an attack when it is opened",
                "leave out files of gigabytes that are all alike",
            )

    def _to_file(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise BakeryError(
                f"{self._path} cannot be written: {error.strerror}", "choose another place"
            ) from None

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except BakeryError as error:
            raise BakeryError(f"{_begin(self._path)}: {error.message}", NOTHING_SEALED) from None


def _begin(path: Path) -> str:
    """How an error about an archive in the making begins."""
    return f"{path} would not be a recovery archive that can be restored"


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that becomes it when the block ends well; mode 0600 from the start."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise BakeryError(
            f"{path} cannot be written: {error.strerror}", "choose another place"
        ) from None
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
