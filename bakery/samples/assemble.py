"""From filesystems in files to one disk, and from the disk to qcow2. Zeros are not copied."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

from bakery.disk.extents import of_file
from bakery.host.run import run
from bakery.samples.variants import Compression

PROGRESS = re.compile(rb"\((\d+\.\d+)/100%\)")


def make_sparse(path: Path, size_bytes: int) -> None:
    """An empty sparse file of that size."""
    path.touch(exist_ok=False)
    os.truncate(path, size_bytes)


def copy_into(source: Path, disk: Path, pieces: list[tuple[int, int]]) -> None:
    """Copy the file `source` into consecutive (offset, length) pieces of the file `disk`."""
    with source.open("rb") as reader, disk.open("r+b") as writer:
        position = 0
        for offset, length in pieces:
            for data in of_file(reader.fileno(), position + length, position):
                place = offset + data.offset - position
                _copy_range(reader.fileno(), writer.fileno(), data.offset, data.length, place)
            position += length


def _copy_range(source: int, target: int, start: int, length: int, offset: int) -> None:
    while length:
        done = os.copy_file_range(source, target, length, start, offset)
        if done == 0:
            raise OSError(errno.EIO, "the source ended early")
        start, offset, length = start + done, offset + done, length - done


def compress(
    disk: Path, image: Path, compression: Compression, progress: Callable[[int, int], None]
) -> None:
    """Write the raw file `disk` as a qcow2 `image` of compressed clusters."""
    total = disk.stat().st_size

    def on_output(piece: bytes) -> None:
        for percent in PROGRESS.findall(piece):
            progress(int(total * float(percent) / 100), total)

    run(
        [
            *("qemu-img", "convert", "-p", "-c", "-m", "4", "-W"),
            *("-f", "raw", "-O", "qcow2", "-o", f"compression_type={compression}"),
            disk,
            image,
        ],
        timeout=1800,
        on_stdout=on_output,
    )
