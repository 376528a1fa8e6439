"""Which chunks are on the disk and were found right: kept on that very disk, for a node that is
switched off in the middle.

It lies in the disk's first MiB, which stays without a partition table until all is written:
at byte 65536 a block with MAGIC, the sha256 of what is being written, and the number of chunks;
behind it a bit for each chunk. What it says is believed for the same image and place alone, and all
chunks are read back at the end in any case.
"""

import hashlib
import mmap
import threading

from .disk import BLOCK, BlockDevice
from .errors import AgentError

MAGIC = b"bakery progress\n"
START, END = 64 << 10, 1 << 20
CHUNKS_LIMIT = (END - START - BLOCK) * 8


class Progress:
    """The `count` chunks of an order, whose `identity` says what goes where, on one disk."""

    def __init__(self, disk: BlockDevice, identity: str, count: int) -> None:
        if count > CHUNKS_LIMIT:
            raise AgentError(
                f"the image has {count} chunks, and {CHUNKS_LIMIT} can be kept track of"
            )
        self._disk = disk
        self._head = MAGIC + hashlib.sha256(f"{count} {identity}".encode()).digest()
        self._bits = mmap.mmap(-1, -(-(BLOCK + -(-count // 8)) // BLOCK) * BLOCK)
        self._lock = threading.Lock()

    def resume(self) -> bool:
        """Take up what an earlier start left; False where there is nothing of this image."""
        self._disk.read(self._bits, len(self._bits), START)
        if self._bits[: len(self._head)] == self._head:
            return True
        self._bits[:] = self._head.ljust(len(self._bits), b"\0")
        return False

    def has(self, number: int) -> bool:
        """Whether chunk `number` is on the disk."""
        return bool(self._bits[BLOCK + number // 8] & 1 << number % 8)

    def add(self, number: int) -> None:
        """Chunk `number` is on the disk; threads may call this."""
        with self._lock:
            self._bits[BLOCK + number // 8] |= 1 << number % 8

    def drop(self, number: int) -> None:
        """Chunk `number` was not what it should be."""
        with self._lock:
            self._bits[BLOCK + number // 8] &= ~(1 << number % 8)

    def save(self) -> None:
        """Write it, behind what it tells of."""
        self._disk.flush()
        with self._lock:
            self._disk.write(self._bits, len(self._bits), START)
        self._disk.flush()
