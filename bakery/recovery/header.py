"""What is asked of an age file before the `age` program may read it.

age reads a whole header, and tries each wrapped key, before it knows whether any of it is
authentic; the format (https://c2sp.org/age) sets no bound to either.
"""

import os
from typing import BinaryIO

from bakery.host.errors import BakeryError

VERSION = b"age-encryption.org/v1"
ANY_VERSION = b"age-encryption.org/"
ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
LIMIT_BYTES = 128 << 10  # post-quantum recipients take 1.5 KB each
WRAPPED_LIMIT = 32

ANOTHER_COPY = "take another copy of it: of this one nothing can be trusted"


def check(file: BinaryIO) -> None:
    """BakeryError unless `file` begins as an age file whose header keeps the bounds."""
    begin = os.pread(file.fileno(), LIMIT_BYTES, 0)
    first = begin.partition(b"\n")[0]
    if first != VERSION:
        raise _damaged() if VERSION.startswith(first) else _no_version(first)
    # age's header ends at the first line that begins so, or at one that is wrong.
    lines, end, _ = begin.partition(b"\n---")
    if lines.count(b"\n->") > WRAPPED_LIMIT:
        raise BakeryError(f"its key is wrapped more than {WRAPPED_LIMIT} times", ANOTHER_COPY)
    if not end:
        raise _damaged()


def _no_version(line: bytes) -> BakeryError:
    if line.startswith(ARMOR):
        return BakeryError(
            "it is an age file in letters (armor); a recovery archive is in bytes",
            "turn it back with a program that knows age's armor, or take the original",
        )
    if line.startswith(ANY_VERSION):
        version = line[len(ANY_VERSION) :].decode("ascii", "replace")[:40]
        return BakeryError(
            f"it is an age file of version {version!r}, and v1 is the one that is known",
            "open it with a newer bakery, or with the program that made it",
        )
    return BakeryError(
        "it is not an age file: it does not begin with 'age-encryption.org/v1'",
        "name the file that --recovery wrote",
    )


def _damaged() -> BakeryError:
    return BakeryError("its header is damaged, cut short or without end", ANOTHER_COPY)
