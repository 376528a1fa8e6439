"""fstab(5) by its fields, on bytes.

A line is an entry when its first character that is no blank is not `#`; fields are parted by
blanks and tabs, and a blank, tab, line feed or backslash inside one is written as `\\040`,
`\\011`, `\\012`, `\\134` (fstab(5), getmntent(3)). The mount point is the second field, and it
alone decides here: `boot` in a label, a comment or another path means nothing.
"""

import posixpath
import re

import msgspec

from bakery.disk.extents import Extent
from bakery.errors import BakeryError

SIZE_LIMIT_BYTES = 1 << 20
LINE_LIMIT = 10_000
BOOT_MOUNT_POINTS = ("/boot", "/boot/efi")

# What stands where an entry was: the longest of these that has room, blanks behind it.
_COMMENTS = (
    b"# the entry of the boot file system stood here: it is not on this disk (bakery)",
    b"# was the boot file system's entry (bakery)",
    b"# taken out by bakery",
    b"#",
)
_FIELD = re.compile(rb"[^ \t]+")
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


class Entry(msgspec.Struct, frozen=True):
    """One entry; `place` is its line in the file, in bytes, without the line's end.

    `mount_point` is decoded and tidied (`/boot/` is `/boot`); `device` and `type` are decoded.
    """

    device: str
    mount_point: str
    type: str
    place: Extent


def entries(text: bytes) -> tuple[Entry, ...]:
    """The entries of a file in their order; lines with fewer than two fields are none.

    BakeryError when the file is over `SIZE_LIMIT_BYTES` or `LINE_LIMIT` lines.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"fstab holds {len(text)} bytes, more than {SIZE_LIMIT_BYTES}")
    lines = text.split(b"\n")
    if len(lines) > LINE_LIMIT:
        raise BakeryError(f"fstab holds {len(lines)} lines, more than {LINE_LIMIT}")
    found: list[Entry] = []
    offset = 0
    for line in lines:
        entry = _entry(line, offset)
        found += [entry] if entry else []
        offset += len(line) + 1
    return tuple(found)


def without(text: bytes, mount_points: tuple[str, ...] = BOOT_MOUNT_POINTS) -> bytes:
    """`text` with the entries of these mount points overwritten by comments of equal length.

    Every other byte stays, so the result can be written over the file where it lies. `text`
    itself where no entry matches.
    """
    wanted = {_tidy(point) for point in mount_points}
    result = bytearray(text)
    for entry in entries(text):
        if entry.mount_point in wanted:
            result[entry.place.offset : entry.place.end] = _comment(entry.place.length)
    return bytes(result)


def _entry(line: bytes, offset: int) -> Entry | None:
    # A file edited on Windows keeps its line ends; the carriage return is none of a field's.
    line = line.removesuffix(b"\r")
    fields = _FIELD.findall(line)
    if len(fields) < 2 or fields[0].startswith(b"#"):
        return None
    names = [_decoded(field) for field in (*fields[:3], b"")]
    return Entry(names[0], _tidy(names[1]), names[2], Extent(offset, len(line)))


def _decoded(field: bytes) -> str:
    plain = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
    return plain.decode("utf-8", "backslashreplace")


def _tidy(path: str) -> str:
    """One slash at a time, no `.`, none at the end; `..` stays, as it may lead anywhere."""
    if not path.startswith("/") or ".." in path.split("/"):
        return path
    return posixpath.normpath("/" + path.lstrip("/"))


def _comment(length: int) -> bytes:
    text = next(comment for comment in _COMMENTS if len(comment) <= length)
    return text.ljust(length)
