"""Copying ranges of a qcow2 image cluster by cluster: the confined program, seen from outside.

It takes the images that most are: deflate or no compression, no second file, no encryption. The
others are qemu-img's (copy.py).
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bakery.disk.digest import CHUNK_BYTES
from bakery.disk.extents import Extent, total
from bakery.disk.formats import qcow2
from bakery.host import sandbox
from bakery.host.errors import BakeryError
from bakery.host.run import Limits
from bakery.host.sandbox import Cage, run_confined

Progress = Callable[[int, int], None]
Landed = Callable[[Extent, dict[int, bytes] | None], None]

PROGRAM = Path(__file__).with_name("confined_copy.py")
LIMITS = Limits(memory_bytes=4 << 30)
TIMEOUT_SECONDS = 6 * 3600.0
# glibc gives memory back after each cluster and faults it in again for the next, which takes
# longer than inflating it (mallopt(3)).
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}


def takes(node: dict[str, Any]) -> bool:
    """Whether the disk of a QEMU node can be copied this way."""
    if node["driver"] != "qcow2" or node.get("backing") or node["file"].get("driver") != "file":
        return False
    try:
        with Path(node["file"]["filename"]).open("rb") as file:
            header = qcow2.parse(file.read(qcow2.HEAD_BYTES))
    except (OSError, BakeryError):
        return False  # qemu-img will say what is wrong with it
    strange = header.incompatible & ~(qcow2.DIRTY | qcow2.COMPRESSION)
    encrypted = header.crypt_method or header.encryption_header
    return header.compression == "zlib" and not strange and not encrypted


def copy(
    image: Path,
    ranges: Sequence[Extent],
    destination: Path,
    progress: Progress | None = None,
    landed: Landed | None = None,
) -> None:
    """Join `ranges` of the disk in `destination`, a file of that size that is all holes.

    `progress` and `landed` are those of `copy.copy_ranges`. Raises BakeryError.
    """
    size = total(ranges)
    listener = _Listener(size, progress, landed)
    python, mounts = sandbox.interpreter()
    packages = _packages()
    cage = Cage(
        read=(image, PROGRAM, *packages), write=(destination,), mounts=mounts, limits=LIMITS
    )
    folders = os.pathsep.join(dict.fromkeys(str(package.parent) for package in packages))
    run_confined(
        [*python, PROGRAM, folders, image, destination],
        cage,
        stdin=json.dumps([[extent.offset, extent.length] for extent in ranges]).encode(),
        timeout=TIMEOUT_SECONDS,
        env=KEEP_MEMORY,
        on_stdout=listener.take,
        name="the copy",
    )
    if listener.done != size:
        raise BakeryError(f"the copy of {image.name} ended after {listener.done} of {size} bytes")


def _packages() -> list[Path]:
    """The folders of what the program imports: this package and two of its dependencies."""
    import isal
    import msgspec

    here = Path(__file__).resolve().parents[2]
    return [here, *(Path(str(module.__file__)).parent for module in (isal, msgspec))]


class _Listener:
    """Hears from the program what it has copied (its docstring tells the lines).

    What parses an image may have been taken over by it. It could harm its own copy alone, and
    here it is held to the places of that.
    """

    def __init__(self, size: int, progress: Progress | None, landed: Landed | None) -> None:
        self.done = 0
        self._size = size
        self._progress = progress
        self._landed = landed
        self._digests: dict[int, bytes] = {}
        self._rest = b""

    def take(self, output: bytes) -> None:
        *lines, self._rest = (self._rest + output).split(b"\n")
        try:
            for line in lines:
                kind, number, *digest = line.split()
                if kind == b"done":
                    self._reached(int(number))
                else:
                    self._digests[self._within(int(number))] = bytes.fromhex(digest[0].decode())
        except (ValueError, IndexError) as error:
            raise BakeryError("what the copy reports makes no sense") from error

    def _within(self, chunk: int) -> int:
        if not self.done <= chunk * CHUNK_BYTES < self._size:
            raise ValueError(chunk)
        return chunk

    def _reached(self, place: int) -> None:
        if not self.done <= place <= self._size:
            raise ValueError(place)
        if self._landed and place > self.done:
            self._landed(Extent(self.done, place - self.done), self._digests)
        self._digests = {}
        self.done = place
        if self._progress:
            self._progress(place, self._size)
