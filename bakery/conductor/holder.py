"""Who holds a lock: written into the lock's file by its holder, for whoever meets it.

The lock itself is the kernel's (flock(2)); what is read here is for a message alone.
"""

import os
import platform
import time
from datetime import UTC, datetime

import msgspec

from bakery.host.printable import printable

LIMIT_BYTES = 4096
NAME_CHARACTERS = 100


class Holder(msgspec.Struct, frozen=True):
    """A process, the machine it runs on, and since when it holds: Unix seconds."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.since, UTC).astimezone()
        host = printable(self.host, NAME_CHARACTERS)
        return f"process {self.pid} on {host}, since {at.isoformat(sep=' ', timespec='seconds')}"


def sign(descriptor: int) -> None:
    """Write this process into the file of a lock that it has."""
    own = Holder(os.getpid(), platform.node(), time.time())
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, msgspec.json.encode(own), 0)


def of(descriptor: int) -> str:
    """Who has the lock, in words; they are vague where it has not signed yet."""
    try:
        return str(msgspec.json.decode(os.pread(descriptor, LIMIT_BYTES, 0), type=Holder))
    except (ValueError, RecursionError, OverflowError, OSError):
        return "it has just begun"
