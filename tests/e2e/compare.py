"""The truth about a base, found without bakery: QEMU's own copy of the range, compared by byte."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHUNK_BYTES = 1 << 20


def reference(image: Path, place: list[tuple[int, int]], destination: Path) -> Path:
    """The ranges `place` of a qcow2 image joined in a raw file, copied by one qemu-img each."""
    with destination.open("xb") as target:
        for number, (offset, length) in enumerate(place):
            piece = destination.with_name(f"{destination.name}.{number}")
            window = {
                "driver": "raw",
                "offset": offset,
                "size": length,
                "file": {"driver": "qcow2", "file": {"driver": "file", "filename": str(image)}},
            }
            subprocess.run(
                ["qemu-img", "convert", "-O", "raw", "json:" + json.dumps(window), piece],
                check=True,
            )
            start = target.tell()
            with piece.open("rb") as source:
                for at, data in data_of(source.fileno()):
                    target.seek(start + at)
                    target.write(data)
            target.truncate(start + length)
            target.seek(start + length)
            piece.unlink()
    return destination


def data_of(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """The data of a sparse file in pieces, with their offsets."""
    position, size = 0, os.fstat(descriptor).st_size
    while position < size:
        try:
            position = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # no data behind
            return
        end = os.lseek(descriptor, position, os.SEEK_HOLE)
        while position < end:
            piece = os.pread(descriptor, min(CHUNK_BYTES, end - position), position)
            yield position, piece
            position += len(piece)


def differing_bytes(one: Path, other: Path) -> set[int]:
    """The offsets of all bytes in which two sparse files of one size differ."""
    assert one.stat().st_size == other.stat().st_size
    found: set[int] = set()
    with one.open("rb") as first, other.open("rb") as second:
        for left, right in ((first, second), (second, first)):
            for offset, data in data_of(left.fileno()):
                same = os.pread(right.fileno(), len(data), offset)
                if same != data:
                    found |= {offset + i for i, (a, b) in enumerate(zip(data, same)) if a != b}  # noqa: B905
    return found
