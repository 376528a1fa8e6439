"""Copying ranges of an image into a sparse raw file: qemu-img's own loop, confined.

qemu-img reads only what the image has allocated and leaves zeros as holes, so a copy costs what
the data costs, whatever the size of the disk.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from bakery.disk import nodes
from bakery.disk.extents import Extent, total
from bakery.errors import BakeryError
from bakery.run import CommandFailed, Limits
from bakery.sandbox import Cage, run_confined

Progress = Callable[[int, int], None]

PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
COROUTINES = 8
LIMITS = Limits(memory_bytes=2 << 30)
TIMEOUT_SECONDS = 6 * 3600.0


def copy_ranges(
    source: nodes.Node,
    reads: Iterable[Path],
    place: Iterable[Extent],
    destination: Path,
    progress: Progress | None = None,
) -> None:
    """Join the ranges `place` of a disk into the new raw file `destination`.

    `source` is the disk's node and `reads` the files it is made of. `progress` is called with
    bytes of the disk passed over and in all. Raises BakeryError; the file is then incomplete.
    """
    ranges = _joined(place)
    size = total(ranges)
    cage = Cage(read=tuple(reads), write=(destination.parent,), limits=LIMITS)
    with destination.open("xb") as file:
        file.truncate(size)
    done = 0
    for extent in ranges:
        _convert(source, extent, destination, done, cage, _scaled(progress, done, extent, size))
        done += extent.length


def read_range(source: nodes.Node, reads: Iterable[Path], extent: Extent, work: Path) -> bytes:
    """The bytes of one range of a disk, through a file in `work`."""
    piece = work / "range.raw"
    copy_ranges(source, reads, [extent], piece)
    try:
        return piece.read_bytes()
    finally:
        piece.unlink()


def _convert(
    source: nodes.Node,
    extent: Extent,
    destination: Path,
    at: int,
    cage: Cage,
    progress: Callable[[bytes], None] | None,
) -> None:
    target = (
        f"driver=raw,offset={at},size={extent.length},"
        f"file.driver=file,file.filename={_escaped(destination)}"
    )
    argv = [
        *("qemu-img", "convert", "-n", "--target-is-zero", "-m", str(COROUTINES), "-W"),
        *(["-p"] if progress else []),
        *("--target-image-opts", nodes.name(nodes.window(source, extent.offset, extent.length))),
        target,
    ]
    try:
        run_confined(argv, cage, timeout=TIMEOUT_SECONDS, on_stdout=progress)
    except CommandFailed as error:
        raise _explained(error, destination) from error


def _explained(error: CommandFailed, destination: Path) -> BakeryError:
    """A failed copy in words that name the way out."""
    if "No space left" in error.tail:
        return BakeryError(
            f"the disk that holds {destination.parent} is full",
            "free some space, or choose another folder with -o",
        )
    if "Input/output error" in error.tail or "while reading" in error.tail:
        return BakeryError(
            f"the image cannot be read to its end: {error.tail}",
            "it may be truncated: compare its size and checksum with where it came from",
        )
    return error


def _joined(place: Iterable[Extent]) -> list[Extent]:
    """Neighbours that touch, in this order, as one: fewer runs of qemu-img."""
    result: list[Extent] = []
    for extent in place:
        if result and result[-1].end == extent.offset:
            result[-1] = Extent(result[-1].offset, result[-1].length + extent.length)
        else:
            result.append(extent)
    return result


def _scaled(
    progress: Progress | None, done: int, extent: Extent, size: int
) -> Callable[[bytes], None] | None:
    if progress is None:
        return None

    def take(output: bytes) -> None:
        found = PERCENT.findall(output)
        if found:
            progress(done + int(extent.length * float(found[-1]) / 100), size)

    return take


def _escaped(path: Path) -> str:
    """A path as a value in QEMU's option syntax, where a comma is written twice."""
    return os.fspath(path).replace(",", ",,")
