"""Which parts are on a disk and were found right."""

import hashlib
import mmap
import threading

from .disk import BLOCK, Disk
from .errors import AgentError

MAGIC = b"bakery progress\n"
START, END = 64 << 10, 1 << 20
LIMIT = (END - START - BLOCK) * 8


class Marks:
    """Kept nowhere: an earlier start is not known of. Threads may share them."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def resume(self) -> bool:
        """Take up what an earlier start left; False where there is nothing of it."""
        return False

    def has(self, number: int) -> bool:
        """Whether part `number` is on the disk."""
        return number in self._numbers

    def add(self, number: int) -> None:
        """Part `number` is on the disk."""
        self._numbers.add(number)

    def drop(self, number: int) -> None:
        """Part `number` was not what it should be."""
        self._numbers.discard(number)

    def save(self) -> None:
        """Keep them for a later start."""


class MarksOnDisk(Marks):
    """Kept on the very disk, for a node that is switched off in the middle.

    They lie in the disk's first MiB, which stays without a partition table until all is written:
    at byte 65536 a block with MAGIC, the sha256 of what is being written, and the number of parts;
    behind it a bit for each. What they say is believed for the same `identity`, which says what
    goes where, and the same `count` alone; all is read back at the end in any case.
    """

    def __init__(self, disk: Disk, identity: str, count: int) -> None:
        super().__init__()
        if count > LIMIT:
            raise AgentError(f"the image has {count} chunks; at most {LIMIT} can be tracked")
        self._disk = disk
        self._head = MAGIC + hashlib.sha256(f"{count} {identity}".encode()).digest()
        self._block = mmap.mmap(-1, -(-(BLOCK + -(-count // 8)) // BLOCK) * BLOCK)
        self._lock = threading.Lock()

    def resume(self) -> bool:
        """Take up what an earlier start left; False where there is nothing of this image."""
        self._disk.wait(self._disk.read_into(START, memoryview(self._block)))
        if self._block[: len(self._head)] == self._head:
            return True
        self._block[:] = self._head.ljust(len(self._block), b"\0")
        return False

    def has(self, number: int) -> bool:
        """Whether its bit is set."""
        return bool(self._block[BLOCK + number // 8] & 1 << number % 8)

    def add(self, number: int) -> None:
        """Set its bit."""
        with self._lock:
            self._block[BLOCK + number // 8] |= 1 << number % 8

    def drop(self, number: int) -> None:
        """Take its bit away."""
        with self._lock:
            self._block[BLOCK + number // 8] &= ~(1 << number % 8)

    def save(self) -> None:
        """Write them, behind what they tell of."""
        self._disk.flush()
        with self._lock:
            self._disk.write(START, memoryview(self._block))
        self._disk.flush()
