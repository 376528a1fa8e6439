"""Write a recovery archive: tar → checked → zstd → age, as it streams by."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.recovery import age, keys
from bakery.recovery.members import Members

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
    with _draft(path) as descriptor:
        with age.encrypting(recipient, descriptor) as encryption:
            stream = _Sealed(path, encryption)
            yield cast("BinaryIO", stream)
            stream.finish()
        stream.check_ratio(os.fstat(descriptor).st_size)


class _Sealed(io.RawIOBase):
    """A tar that is written to it goes on packed to `encryption`."""

    def __init__(self, path: Path, encryption: age.Encryption) -> None:
        from bakery.recovery import packing

        self._path = path
        self._encryption = encryption
        self._members = Members()
        self._plain_bytes = 0
        self._frame = packing.compressor()

    def writable(self) -> bool:
        return True

    def write(self, content: "ReadableBuffer") -> int:
        """Take more of the tar; BakeryError where it could not be restored."""
        plain = bytes(content)
        with self._named():
            self._members.feed(plain)
        self._plain_bytes += len(plain)
        with _writing(self._path):
            self._encryption.write(self._frame.compress(plain))
        return len(plain)

    def finish(self) -> None:
        """The tar has come to its end: so does the archive."""
        with self._named():
            self._members.finish()
        with _writing(self._path):
            self._encryption.write(self._frame.flush())
            self._encryption.finish()

    def check_ratio(self, sealed_bytes: int) -> None:
        """BakeryError where an archive of so many bytes would be refused for what it unpacks to."""
        from bakery.recovery import packing

        if self._plain_bytes > packing.limit_bytes(sealed_bytes):
            raise BakeryError(
                f"{_begin(self._path)}: {self._plain_bytes} bytes of it pack into "
                f"{sealed_bytes}, which would pass for an attack when it is opened",
                "leave out files of gigabytes that are all alike",
            )

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
def _draft(path: Path) -> Iterator[int]:
    """A file beside `path` that becomes it when the block ends well; mode 0600 from the start."""
    with contextlib.ExitStack() as draft:
        with _writing(path):
            descriptor = draft.enter_context(folders.writing(path, mode=0o600))
        yield descriptor
        with _writing(path):
            draft.close()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Name what cannot be written, where the system says no."""
    try:
        yield
    except (OSError, age.AgeFailed) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BakeryError(f"{path} cannot be written: {reason}", "choose another place") from None
