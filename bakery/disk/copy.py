"""Copying ranges of an image into a sparse raw file, confined.

A qcow2 image is copied cluster by cluster (disk/copy_clusters.py), all else by qemu-img's own
loop. Either reads only what the image has allocated and leaves zeros as holes, so a copy costs
what the data costs, whatever the size of the disk. One qemu-img at a time: it keeps two cores
busy by itself, and two side by side take longer than one after the other (docs/performance.md).
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bakery.disk import copy_clusters, nodes
from bakery.disk.extents import Extent, clipped, total
from bakery.errors import BakeryError
from bakery.run import CommandFailed, Limits
from bakery.sandbox import Cage, run_confined

Progress = Callable[[int, int], None]
Landed = Callable[[Extent, dict[int, bytes] | None], None]

PERCENT = re.compile(rb"\((\d+(?:\.\d+)?)/100%\)")
COROUTINES = 8
LIMITS = Limits(memory_bytes=2 << 30)
TIMEOUT_SECONDS = 6 * 3600.0
# A window is what one qemu-img copies. It starts at a multiple of ALIGNMENT in the destination,
# and holds about WINDOW_DATA_BYTES: enough that starting the program does not count.
ALIGNMENT_BYTES = 1 << 20
WINDOW_DATA_BYTES = 96 << 20
WINDOWS_LIMIT = 64
MAP_LIMIT_BYTES = 32 << 20
UNREADABLE = ("Input/output error", "while reading", "is damaged", "is cut short", "are broken")


class Window(NamedTuple):
    """A range of the source disk, and the byte of the destination where it goes."""

    extent: Extent
    at: int

    @property
    def landing(self) -> Extent:
        """The range of the destination."""
        return Extent(self.at, self.extent.length)


def copy_ranges(
    source: nodes.Node,
    reads: Iterable[Path],
    place: Iterable[Extent],
    destination: Path,
    progress: Progress | None = None,
    landed: Landed | None = None,
) -> None:
    """Join the ranges `place` of a disk into the new raw file `destination`.

    `source` is the disk's node and `reads` the files it is made of. `progress` is called with
    bytes of the destination passed over and in all; `landed` with each range of it that is
    complete, while the next is copied, and with the digests of its chunks as `digest.Growing`
    takes them, where they are known. Raises BakeryError; the file is then incomplete.
    """
    ranges = _joined(place)
    size = total(ranges)
    with destination.open("xb") as file:
        file.truncate(size)
    try:
        if copy_clusters.takes(source):
            image = Path(source["file"]["filename"])
            copy_clusters.copy(image, ranges, destination, progress, landed)
        else:
            _copy_windows(source, reads, ranges, destination, progress, landed)
    except CommandFailed as error:
        raise _explained(error, destination) from error


def _copy_windows(
    source: nodes.Node,
    reads: Iterable[Path],
    ranges: list[Extent],
    destination: Path,
    progress: Progress | None,
    landed: Landed | None,
) -> None:
    """As `copy_ranges`, one qemu-img after the other."""
    size = total(ranges)
    cage = Cage(read=tuple(reads), write=(destination.parent,), limits=LIMITS)
    for window in _windows(ranges, _data(source, cage)):
        if window.extent.length:
            _convert(source, window, destination, cage, _scaled(progress, window, size))
        if landed:
            landed(window.landing, None)


def _convert(
    source: nodes.Node,
    window: Window,
    destination: Path,
    cage: Cage,
    on_stdout: Callable[[bytes], None] | None = None,
) -> None:
    # The destination is read for its digest meanwhile: a lock on it would only be in the way.
    target = (
        f"driver=raw,offset={window.at},size={window.extent.length},file.driver=file,"
        f"file.locking=off,file.filename={_escaped(destination)}"
    )
    part = nodes.window(source, window.extent.offset, window.extent.length)
    argv = [
        "qemu-img",
        "convert",
        *(["-p"] if on_stdout else []),
        "-n",
        "--target-is-zero",
        "-m",
        str(COROUTINES),
        "-W",
        "--target-image-opts",
        nodes.name(part),
        target,
    ]
    run_confined(argv, cage, timeout=TIMEOUT_SECONDS, on_stdout=on_stdout)


def _data(source: nodes.Node, cage: Cage) -> list[Extent] | None:
    """Where the disk holds data, to share the work out by; None where that would be a long list."""
    argv = ["qemu-img", "map", "--output=json", nodes.name(source)]
    with contextlib.suppress(CommandFailed, json.JSONDecodeError, KeyError):
        text = run_confined(argv, cage, output_limit=MAP_LIMIT_BYTES).stdout
        return [
            Extent(e["start"], e["length"]) for e in json.loads(text) if e["data"] and not e["zero"]
        ]
    return None


def _windows(ranges: list[Extent], data: list[Extent] | None) -> list[Window]:
    """The ranges cut where enough data has gathered, at aligned places of the destination."""
    windows: list[Window] = []
    at = 0
    for extent in ranges:
        start = extent.offset
        for cut in _cuts(extent, at, data or []):
            windows.append(Window(Extent(start, cut - start), at))
            at += cut - start
            start = cut
        windows.append(Window(Extent(start, extent.end - start), at))
        at += extent.end - start
    return windows


def _cuts(extent: Extent, at: int, data: list[Extent]) -> Iterator[int]:
    """Bytes of the disk inside `extent` at which a new window begins; `at` is where it lands."""
    inside = clipped(data, extent)
    step = max(WINDOW_DATA_BYTES, total(inside) // WINDOWS_LIMIT)
    gathered, last = 0, extent.offset
    for piece in inside:
        offset = piece.offset
        while gathered + piece.end - offset >= step:
            wanted = offset + step - gathered
            cut = wanted + (-(wanted - extent.offset + at) % ALIGNMENT_BYTES)
            gathered = 0
            if cut >= extent.end:
                return
            if cut > last:
                yield cut
            offset, last = wanted, max(cut, last)
        gathered += piece.end - offset


def read_range(source: nodes.Node, reads: Iterable[Path], extent: Extent, work: Path) -> bytes:
    """The bytes of one range of a disk, through a file in `work`."""
    piece = work / "range.raw"
    cage = Cage(read=tuple(reads), write=(work,), limits=LIMITS)
    try:
        with piece.open("xb") as file:
            file.truncate(extent.length)
        _convert(source, Window(extent, 0), piece, cage)
        return piece.read_bytes()
    except CommandFailed as error:
        raise _explained(error, piece) from error
    finally:
        piece.unlink(missing_ok=True)


def _explained(error: CommandFailed, destination: Path) -> BakeryError:
    """A failed copy in words that name the way out."""
    if "No space left" in error.tail:
        return BakeryError(
            f"the disk that holds {destination.parent} is full",
            "free some space, or choose another folder with -o",
        )
    if any(words in error.tail for words in UNREADABLE):
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


def _scaled(progress: Progress | None, window: Window, size: int) -> Callable[[bytes], None] | None:
    """What reads qemu-img's percents and tells them as bytes of the destination."""
    if progress is None:
        return None

    def take(output: bytes) -> None:
        found = PERCENT.findall(output)
        if found:
            progress(window.at + int(window.extent.length * float(found[-1]) / 100), size)

    return take


def _escaped(path: Path) -> str:
    """A path as a value in QEMU's option syntax, where a comma is written twice."""
    return os.fspath(path).replace(",", ",,")
