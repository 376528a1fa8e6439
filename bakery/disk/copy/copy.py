"""Copying ranges of an image into a sparse raw file, confined.

A raw image is copied and hashed in one pass (plain.py), a qcow2 image cluster by cluster
(clusters.py), all else by qemu-img's own loop. Each reads only what the image has allocated and
leaves zeros as holes, so a copy costs what the data costs, whatever the size of the disk. One
qemu-img at a time: it keeps two cores busy by itself, and two side by side take longer than one
after the other (docs/performance.md).
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bakery.disk import blockdevs
from bakery.disk.copy import clusters, plain
from bakery.disk.extents import Extent, clipped, joined, total
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed, Limits
from bakery.host.sandbox import Cage, run_confined

Progress = Callable[[int, int], None]
Landed = Callable[[Extent, dict[int, bytes] | None], None]

PERCENT = re.compile(rb"\(([0-9]{1,3}(?:\.[0-9]{1,9})?)/100%\)")
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


class _Mapped(msgspec.Struct, frozen=True):
    """A range of the disk as `qemu-img map` tells of it."""

    start: int
    length: int
    data: bool
    zero: bool


class Window(NamedTuple):
    """A range of the source disk, and the byte of the destination where it goes."""

    extent: Extent
    at: int


def copy_ranges(
    source: blockdevs.BlockDevice,
    reads: Iterable[Path],
    place: Iterable[Extent],
    destination: Path,
    progress: Progress | None = None,
    landed: Landed | None = None,
) -> str:
    """Join the ranges `place` of a disk into the new raw file `destination`.

    `source` is the disk's node and `reads` the files it is made of. `progress` is called with
    bytes of the destination passed over and in all; `landed` with each range of it that is
    complete, while the next is copied, and with the digests of its chunks as `digest.Growing`
    takes them, where they are known. Returns the digest of the source's file where the copy has
    read all of that (a raw one), else nothing. Raises BakeryError; the file is then incomplete.
    """
    ranges = joined(place)  # fewer runs of qemu-img
    size = total(ranges)
    with destination.open("xb") as file:
        file.truncate(size)
    try:
        if plain.takes(source):
            return plain.copy(
                Path(source["file"]["filename"]), ranges, destination, progress, landed
            )
        if clusters.takes(source):
            image = Path(source["file"]["filename"])
            clusters.copy(image, ranges, destination, progress, landed)
        else:
            _copy_windows(source, reads, ranges, destination, progress, landed)
    except CommandFailed as error:
        raise _explained(error, error.tail, destination) from error
    except OSError as error:
        failed = BakeryError(f"the copy of {destination.name} failed: {error.strerror}")
        raise _explained(failed, error.strerror or "", destination) from error
    return ""


def _copy_windows(
    source: blockdevs.BlockDevice,
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
            told = scaled(progress, window.at, window.extent.length, size)
            _convert(source, window, destination, cage, told)
        if landed:
            landed(Extent(window.at, window.extent.length), None)


def _convert(
    source: blockdevs.BlockDevice,
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
    part = blockdevs.window(source, window.extent.offset, window.extent.length)
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
        blockdevs.name(part),
        target,
    ]
    run_confined(argv, cage, timeout=TIMEOUT_SECONDS, on_stdout=on_stdout)


def _data(source: blockdevs.BlockDevice, cage: Cage) -> list[Extent] | None:
    """Where the disk holds data, to share the work out by; None where that would be a long list."""
    argv = ["qemu-img", "map", "--output=json", blockdevs.name(source)]
    with contextlib.suppress(CommandFailed):
        return _told_data(run_confined(argv, cage, output_limit=MAP_LIMIT_BYTES).stdout)
    return None


def _told_data(printed: bytes) -> list[Extent] | None:
    """What `qemu-img map` says of the data; None where that makes no sense."""
    try:
        told = msgspec.json.decode(printed, type=list[_Mapped])
    except (msgspec.DecodeError, RecursionError):
        return None
    return [Extent(one.start, one.length) for one in told if one.data and not one.zero]


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
    gathered = 0
    for piece in inside:
        offset = piece.offset
        while gathered + piece.end - offset >= step:
            offset += step - gathered
            cut = offset + (-(offset - extent.offset + at) % ALIGNMENT_BYTES)
            gathered = 0
            if cut >= extent.end:
                return
            yield cut
        gathered += piece.end - offset


def read_range(
    source: blockdevs.BlockDevice, reads: Iterable[Path], extent: Extent, work: Path
) -> bytes:
    """The bytes of one range of a disk, through a file in `work`."""
    piece = work / "range.raw"
    cage = Cage(read=tuple(reads), write=(work,), limits=LIMITS)
    try:
        with piece.open("xb") as file:
            file.truncate(extent.length)
        _convert(source, Window(extent, 0), piece, cage)
        return piece.read_bytes()
    except CommandFailed as error:
        raise _explained(error, error.tail, piece) from error
    finally:
        piece.unlink(missing_ok=True)


def _explained(error: BakeryError, reason: str, destination: Path) -> BakeryError:
    """A failed copy in words that name the way out, by the `reason` that the program gave."""
    if "No space left" in reason:
        return BakeryError(
            f"the disk that holds {destination.parent} is full",
            "free some space, or choose another folder with -o",
        )
    if any(words in reason for words in UNREADABLE):
        return BakeryError(
            f"the image cannot be read to the end: {reason}",
            "it may be truncated: compare its size and checksum with where it came from",
        )
    return error


def scaled(
    progress: Progress | None, at: int, length: int, size: int
) -> Callable[[bytes], None] | None:
    """What reads qemu-img's percents of `length` bytes from `at` on, and tells them as bytes."""
    if progress is None:
        return None

    def take(output: bytes) -> None:
        found = PERCENT.findall(output)
        if found:
            progress(at + int(length * min(1.0, float(found[-1]) / 100)), size)

    return take


def _escaped(path: Path) -> str:
    """A path as a value in QEMU's option syntax, where a comma is written twice."""
    return os.fspath(path).replace(",", ",,")
