"""What a host heard, held against what it should not have.

A file is known by its windows: 16 bytes at each 512. Whatever 528 bytes of it come in one frame
have one of them, at whatever place.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

WINDOW, STRIDE = 16, 512
TELLING = 12
"""A window with fewer different bytes may be in any file."""
SEEN_BYTES = 1024
"""Of each frame so much is looked at, byte by byte: enough for a window to be in it."""


def frames(record: Path) -> Iterator[bytes]:
    """The frames of a record (tests/hostile/stranger/__main__.py)."""
    with record.open("rb") as file:
        while head := file.read(4):
            frame = file.read(struct.unpack(">I", head)[0])
            if len(head) == 4 and frame:
                yield frame


def is_multicast(frame: bytes) -> bool:
    """Whether an IPv4 group is where it goes (RFC 1112, 6.4)."""
    return frame.startswith(b"\x01\x00\x5e")


def windows(content: bytes) -> set[bytes]:
    """Those of a file, or of a part of it that begins at a multiple of 512."""
    every = (content[at : at + WINDOW] for at in range(0, len(content) - WINDOW + 1, STRIDE))
    return {window for window in every if len(set(window)) >= TELLING}


def of(paths: Iterable[Path]) -> set[bytes]:
    """Those of files."""
    found: set[bytes] = set()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                if piece.count(0) < len(piece):
                    found |= windows(piece)
    return found


def holds(frame: bytes, known: set[bytes]) -> bool:
    """Whether a frame has a part of one of the files."""
    return any(frame[at : at + WINDOW] in known for at in range(min(len(frame), SEEN_BYTES)))
