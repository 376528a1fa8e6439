"""The parts of a disk that hold its partition table, taken out of an image by qemu-img.

sfdisk wants a disk of the right size; it gets a file of that size with holes, in which only the
table's own sectors are filled in. Whatever parses image bytes here runs in a cage.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from bakery.disk import blockdevs
from bakery.disk.volumes import gpt, partitions
from bakery.disk.volumes.volumes import PartitionTable
from bakery.host.errors import BakeryError
from bakery.host.run import Arg, CommandFailed, Limits, ending, tail
from bakery.host.sandbox import Cage, run_confined

EDGE_BYTES = 1 << 20
SECTOR_BYTES = 512
CHAIN_LIMIT = 64
# Each thread of QEMU would reserve an arena of 64 MiB out of the bounded address space.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
NO_TABLE = b"does not contain a recognized partition table"
TIMEOUT_SECONDS = 10.0
LIMITS = Limits(memory_bytes=1 << 30, cpu_seconds=8, file_bytes=64 << 20)

_ENTRIES_AT = 446
_ENTRY = struct.Struct("<4xB3xII")
_EXTENDED = (0x05, 0x0F, 0x85)


class Peek:
    """A look at a disk of `size_bytes`, shown by `device`; `image` is the only file it may read."""

    def __init__(
        self, image: Path, device: blockdevs.BlockDevice, size_bytes: int, scratch: Path
    ) -> None:
        self.image = image
        self.blockdev = device
        self.size_bytes = size_bytes
        self.scratch = scratch
        self.disk = scratch / "disk.raw"
        self.piece = scratch / "piece.raw"

    def edges(self) -> bytes:
        """Fill in the first and last EDGE_BYTES and what leads on from them; returns the first.

        Raises CommandFailed where QEMU cannot open or read the image, BakeryError where a file
        of that size cannot be made here.
        """
        try:
            self.disk.touch()
            os.truncate(self.disk, self.size_bytes)
        except OSError as error:
            raise BakeryError(
                f"a disk of {self.size_bytes} bytes cannot be shown here: {error.strerror}"
            ) from error
        head = self._copy(0, min(EDGE_BYTES, self.size_bytes))
        if self.size_bytes > EDGE_BYTES:
            start = max(EDGE_BYTES, (self.size_bytes - EDGE_BYTES) // SECTOR_BYTES * SECTOR_BYTES)
            self._copy(start, self.size_bytes - start)
        self._follow(head[:SECTOR_BYTES])
        return head

    def _follow(self, sector: bytes) -> None:
        """Fill in the chain of extended boot records of an MBR, each in the sector named."""
        first = next(_extended(sector), None)
        offset = first
        for _ in range(CHAIN_LIMIT):
            if offset is None or first is None or offset + SECTOR_BYTES > self.size_bytes:
                return
            link = next(_extended(self._copy(offset, SECTOR_BYTES)), None)
            offset = None if link is None else first + link

    def _copy(self, offset: int, length: int) -> bytes:
        """Copy a range of the disk to its place in the file with holes, and return it."""
        self.piece.unlink(missing_ok=True)
        self.piece.touch()
        os.truncate(self.piece, length)
        window = blockdevs.name(blockdevs.window(self.blockdev, offset, length))
        cage = Cage(read=(self.image,), write=(self.piece,), limits=LIMITS)
        words: list[Arg] = ["qemu-img", "convert", "-n", "-m", "1", "-O", "raw", window, self.piece]
        run_confined(words, cage, timeout=TIMEOUT_SECONDS, env=ENVIRONMENT)
        content = self.piece.read_bytes()
        with self.disk.open("r+b") as disk:
            disk.seek(offset)
            disk.write(content)
        return content


def partition_table(disk: Path, size_bytes: int) -> PartitionTable | None:
    """The table of a disk that is a file, taken at its word; None where there is none.

    Raises CommandFailed where sfdisk comes to no answer, BakeryError for a table that is none.
    """
    with disk.open("rb", buffering=0) as file:

        def read_at(offset: int, length: int) -> bytes:
            return os.pread(file.fileno(), length, offset)

        sector_bytes = gpt.sector_bytes(read_at, size_bytes)
        if sector_bytes != gpt.USUAL_SECTOR_BYTES:
            return gpt.read(read_at, size_bytes, sector_bytes)
    return partitions.parse(sfdisk(disk))


def sfdisk(disk: Path) -> bytes:
    """What `sfdisk --json` prints of a file that is a disk; nothing where it finds no table.

    Raises CommandFailed where it comes to no such answer.
    """
    cage = Cage(read=(disk,), limits=LIMITS)
    done = run_confined(["sfdisk", "--json", disk], cage, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode == 0:
        return done.stdout
    if NO_TABLE in done.stderr:
        return b""
    raise CommandFailed("sfdisk", ending(done.returncode), tail(done.stderr), done.returncode)


def _extended(sector: bytes) -> Iterator[int]:
    """Where the extended partitions of a boot record start, in bytes."""
    for at in range(_ENTRIES_AT, _ENTRIES_AT + 4 * _ENTRY.size, _ENTRY.size):
        if at + _ENTRY.size <= len(sector):
            kind, start, _length = _ENTRY.unpack_from(sector, at)
            if kind in _EXTENDED and start:
                yield start * SECTOR_BYTES
