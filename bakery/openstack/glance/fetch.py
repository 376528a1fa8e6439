"""The bytes of one image brought into a file, zeros left out, gone on with where it broke off.

A file that is there already is taken as the start of the image: the rest is asked for with a
Range request (RFC 9110, 14.2), which Glance serves for raw data since Rocky; from a server that
does not, the whole comes again. What Glance says of the bytes (`os_hash_algo`, `os_hash_value`)
is held against all of them, those that were there before included.
"""

import hashlib
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bakery.disk.digest import Progress
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool
from bakery.openstack.connection import CloudError
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image
from bakery.openstack.glance.sparse import SparseFile

TRIES = 20
WAITING_PIECES = 4
READ_BYTES = 1 << 20
# SHAKE gives as many bytes as one asks for; Glance cannot be set to it either.
ALGORITHMS = hashlib.algorithms_guaranteed - {"shake_128", "shake_256"}


class Differs(BakeryError):
    """The bytes are not those that Glance once took in."""


def fetch(images: Images, image: Image, path: Path, progress: Progress) -> int:
    """Bring the image's bytes into `path`, and to the disk; what came stays there on a failure.

    Returns the bytes that came over the network.

    A connection that is cut is taken up again as long as every try brings something. Where the
    bytes differ from Glance's hash the file is removed; if some were there before, all are fetched
    anew first. Raises Differs, CloudError, and OSError where the disk is full.
    """
    kept = path.exists() and path.stat().st_size > 0
    try:
        return _fetch(images, image, path, progress)
    except Differs:
        path.unlink()
        if not kept:
            raise
        return _fetch(images, image, path, progress)
    finally:
        if path.exists() and path.stat().st_size == 0:
            path.unlink()


def _fetch(images: Images, image: Image, path: Path, progress: Progress) -> int:
    with SparseFile(path) as file, _Hash(image) as checked:
        taking = _Taking(images, image, file, checked, progress, image.size_bytes or 0)
        if file.size_bytes > taking.size_bytes:
            file.restart()
        checked.take_file(path)
        for left in reversed(range(TRIES)):
            before = file.size_bytes
            if before == taking.size_bytes:
                break
            try:
                taking.once()
            except CloudError as error:
                if not _passing(error):
                    raise
                if not left or file.size_bytes <= before:
                    raise _kept(error, file.size_bytes, taking.size_bytes) from error
        file.sync()
        if not checked.matches():
            raise Differs(
                f"image {image.id} does not hold the bytes that Glance received: "
                f"their {image.hash_algo} does not match",
                "its store is damaged: upload the build again, or tell the cloud's operator",
            )
    return taking.came_bytes


@dataclass
class _Taking:
    """The requests of one fetch of `size_bytes`; `came_bytes` came over the network so far."""

    images: Images
    image: Image
    file: SparseFile
    checked: "_Hash"
    progress: Progress
    size_bytes: int
    came_bytes: int = 0

    def once(self) -> None:
        """One request for what is missing. CloudError where it ends early or does not end."""
        what, file = f"fetching image {self.image.id}", self.file
        stream = self.images.fetch(self.image.id, file.size_bytes)
        if stream.offset != file.size_bytes:
            file.restart()
            self.checked.restart()
        for piece in stream:
            if file.size_bytes + len(piece) > self.size_bytes:
                raise CloudError(f"{what}: the server sends more than its {self.size_bytes} bytes")
            file.write(piece)
            self.checked.take(piece)
            self.came_bytes += len(piece)
            self.progress(file.size_bytes, self.size_bytes)
        if file.size_bytes < self.size_bytes:
            raise CloudError(f"{what}: the connection was lost")


def _passing(error: CloudError) -> bool:
    """Whether trying again may help: nothing was answered, or the server had a bad moment."""
    return error.status is None or error.status >= 500


def _kept(error: CloudError, done_bytes: int, total_bytes: int) -> CloudError:
    return CloudError(
        f"{error.message}; {done_bytes} of {total_bytes} bytes are here",
        "run the same command again: it continues from there",
        error.status,
    )


class _Hash:
    """Glance's hash of the bytes so far, counted in a thread of its own."""

    def __init__(self, image: Image) -> None:
        self._algorithm = image.hash_algo.lower() if image.hash_algo.lower() in ALGORITHMS else ""
        self._expected = image.hash_value.lower()
        self._pool = Pool(1)
        self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def restart(self) -> None:
        """Forget all bytes so far."""
        self._running: deque[Future[None]] = deque()
        self._hash = (
            hashlib.new(self._algorithm, usedforsecurity=False) if self._algorithm else None
        )

    def take(self, piece: bytes) -> None:
        """The next bytes."""
        if self._hash is not None:
            self._running.append(self._pool.submit(self._hash.update, piece))
        while len(self._running) > WAITING_PIECES:
            self._running.popleft().result()

    def take_file(self, path: Path) -> None:
        """All bytes of a file."""
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                self.take(piece)

    def matches(self) -> bool:
        """Whether the bytes are the expected ones, or nothing is known that they could be."""
        for running in self._running:
            running.result()
        return self._hash is None or not self._expected or self._hash.hexdigest() == self._expected
