"""The body of an upload: a file that is read once, block by block, and hashed beside the sending.

Holes are never read: one shared buffer of zeros stands for all of them. Memory is a few blocks,
whatever the size of the file.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

from bakery.disk import extents
from bakery.disk.digest import CHUNK_BYTES, Progress, by_chunk
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened
from bakery.host.pool import Pool

BLOCK_BYTES = CHUNK_BYTES
BUFFERS = 6


class Body:
    """The bytes of `path` for one request, `len()` of them.

    It can be gone through once: a body that was partly sent must not be sent again as if it were
    whole. `progress` is called with bytes handed out and in all; `last` before the last block is.
    """

    def __init__(
        self,
        path: Path,
        progress: Progress = lambda _done, _all: None,
        last: Callable[[], None] = lambda: None,
        algorithm: str = "sha512",
    ) -> None:
        self._path = path
        self._progress = progress
        self._last = last
        self._hash = hashlib.new(algorithm)
        self._begun = False
        self._ended = False
        with _told(path):
            self._size = path.stat().st_size
        if self._size == 0:
            raise BakeryError(f"{path} is empty: nothing to send", "run bakery build again")

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        if self._begun:
            raise BakeryError(f"{self._path} was sent in part and cannot be resent")
        self._begun = True
        done = 0
        with Pool(1) as hasher:
            for block in self._hashed(hasher):
                done += len(block)
                if done == self._size:
                    self._last()
                yield block
                self._progress(done, self._size)
        self._ended = True

    @property
    def complete(self) -> bool:
        """Whether every byte was handed out and the one who took them came back for more."""
        return self._ended

    def hexdigest(self) -> str:
        """The digest of all bytes. BakeryError where not all were handed out."""
        if not self._ended:
            raise BakeryError(f"{self._path} was not sent to the end")
        return self._hash.hexdigest()

    def _hashed(self, hasher: Pool) -> Iterator[memoryview]:
        """The blocks, each given to the hash as well; a buffer is used again when that is done."""
        zeros = memoryview(bytes(BLOCK_BYTES))
        ring = [memoryview(bytearray(BLOCK_BYTES)) for _ in range(BUFFERS)]
        busy: list[Future[None]] = []
        with _told(self._path), opened(self._path) as file:
            descriptor = file.fileno()
            pieces = by_chunk(extents.merged(extents.of_file(descriptor, self._size)))
            for number, start in enumerate(range(0, self._size, BLOCK_BYTES)):
                if len(busy) == BUFFERS:
                    busy.pop(0).result()
                window = Extent(start, min(BLOCK_BYTES, self._size - start))
                block = (ring[number % BUFFERS] if number in pieces else zeros)[: window.length]
                if number in pieces:
                    _fill(block, descriptor, window, pieces[number])
                busy.append(hasher.submit(self._hash.update, block))
                yield block
            for running in busy:
                running.result()


def digest(path: Path, algorithm: str = "sha512", progress: Progress = lambda _d, _a: None) -> str:
    """The digest of a file as it would be sent, holes as zeros that are not read."""
    body = Body(path, progress, algorithm=algorithm)
    for _ in body:
        pass
    return body.hexdigest()


def _fill(block: memoryview, descriptor: int, window: Extent, parts: list[Extent]) -> None:
    """Put the bytes of `window` into `block`: `parts` from the file, zeros between them."""
    if extents.total(parts) < window.length:
        block[:] = bytes(window.length)
    for part in parts:
        offset = part.offset
        while offset < part.end:
            place = block[offset - window.offset : part.end - window.offset]
            got = os.preadv(descriptor, [place], offset)
            if got == 0:
                raise BakeryError("a file shrank while it was being sent", "build it again")
            offset += got


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """A failure of the disk as a BakeryError: an OSError would pass for one of the network."""
    try:
        yield
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
