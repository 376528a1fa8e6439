"""A file with some of its bytes replaced, without a copy of it.

What is one node's own of a large file stays in memory: it is never on a disk, and the file is
shared by all nodes.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Span(NamedTuple):
    """Bytes of the file itself, from `offset` on, `length` of them."""

    offset: int
    length: int


@dataclass(frozen=True)
class Overlaid:
    """The file `base`, of `size_bytes`, with `patches` in place of what it holds: offset → bytes.

    BakeryError where patches overlap or go beyond the end.
    """

    base: Seal
    size_bytes: int
    patches: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        end = 0
        for offset, content in self.patches:
            if offset < end or offset + len(content) > self.size_bytes:
                raise BakeryError(f"what goes over {self.base.path.name} does not fit into it")
            end = offset + len(content)

    def pieces(self, start: int, length: int) -> Iterator[Span | bytes]:
        """What the bytes from `start` on, `length` of them, are made of, in their order."""
        at, end = start, start + length
        for offset, content in self.patches:
            if offset + len(content) <= at or offset >= end:
                continue
            if at < offset:
                yield Span(at, offset - at)
                at = offset
            upto = min(end, offset + len(content))
            yield content[at - offset : upto - offset]
            at = upto
        if at < end:
            yield Span(at, end - at)

    def tag(self, of_base: str) -> str:
        """What names these bytes, where `of_base` names those of the file."""
        total = hashlib.sha256(of_base.encode())
        for offset, content in self.patches:
            total.update(b"%d:%d:" % (offset, len(content)) + content)
        return total.hexdigest()[:32]


class OverlaidFile(io.RawIOBase):
    """What the overlaid bytes are read from. `file` is the base, for who sends its spans himself.

    It has no descriptor: what the kernel read by that would be the base's bytes alone.
    """

    def __init__(self, overlaid: Overlaid, file: BinaryIO) -> None:
        self.overlaid, self.file = overlaid, file
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        before = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.overlaid.size_bytes}
        self._at = max(0, before[whence] + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """As of any file; OSError where the base has shrunk."""
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self.overlaid.size_bytes - self._at))
        done = 0
        for piece in self.overlaid.pieces(self._at, length):
            if isinstance(piece, bytes):
                view[done : done + len(piece)] = piece
                done += len(piece)
            else:
                self._fill(view[done : done + piece.length], piece.offset)
                done += piece.length
        self._at += done
        return done

    def close(self) -> None:
        """Close the base, too."""
        self.file.close()
        super().close()

    def _fill(self, view: memoryview, offset: int) -> None:
        done = 0
        while done < len(view):
            got = os.preadv(self.file.fileno(), [view[done:]], offset + done)
            if not got:
                raise OSError("the file shrank while it was being read")
            done += got
