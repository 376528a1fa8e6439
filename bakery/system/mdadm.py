"""mdadm.conf(5): the MD arrays that it names, by the UUID that their members bear.

A line begins with a keyword, of which three letters are enough, and goes on where the next begins
with a blank; empty lines and comments between do not end it. `ARRAY` is followed by the array's
device and by `KEY=value` words. mdadm writes a UUID as four numbers, blkid(8) the same digits as
every other UUID.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bakery.system import fstab
from bakery.system.mention import Mention

ARRAY = b"ARRAY"
_COMMENT = re.compile(rb"(?:^|(?<=[ \t]))#.*")
_UUID = re.compile(rb"[Uu][Uu][Ii][Dd]=([0-9a-fA-F:-]+)")


class _Entry(NamedTuple):
    """A line with all that goes on from it: their numbers from 1, and the words."""

    lines: tuple[int, ...]
    words: list[bytes]


def mentions(text: bytes) -> tuple[Mention, ...]:
    """The arrays, each by its members; BakeryError where the file is out of proportion."""
    fstab.bounded(text, "mdadm.conf")
    return tuple(_arrays(text))


def without(text: bytes, lines: Iterable[int]) -> bytes:
    """The file without the arrays that begin in these lines, at its length."""
    gone = frozenset(lines)
    taken = [entry for entry in _entries(text) if entry.lines[0] in gone]
    return fstab.changed(text, dict.fromkeys(number for entry in taken for number in entry.lines))


def as_uuid(text: str) -> str:
    """A UUID of mdadm's as blkid has it: `3749f528:5d5a…` is `3749f528-5d5a-…`."""
    digits = re.sub("[:-]", "", text.lower())
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts) if len(digits) == 32 else text


def _arrays(text: bytes) -> Iterator[Mention]:
    rows = text.split(b"\n")
    for entry in _entries(text):
        keyword, *words = entry.words
        uuid = next(filter(None, map(_UUID.fullmatch, words[1:])), None)
        if len(keyword) > 2 and ARRAY.startswith(keyword.upper()) and uuid:
            number = entry.lines[0]
            yield Mention(
                device=f"UUID={as_uuid(uuid[1].decode())}",
                use="array",
                optional=True,
                line=number,
                line_bytes=len(rows[number - 1].removesuffix(b"\r")),
                makes=words[0].decode("utf-8", "backslashreplace"),
            )


def _entries(text: bytes) -> Iterator[_Entry]:
    """The entries, in their order; what goes on from nothing is none of one."""
    lines: list[int] = []
    words: list[bytes] = []
    for number, row in enumerate(text.split(b"\n"), 1):
        found = _COMMENT.sub(b"", row).split()
        if not found:
            continue
        if not row.startswith((b" ", b"\t")):
            if lines:
                yield _Entry(tuple(lines), words)
            lines, words = [number], found
        elif lines:
            lines.append(number)
            words += found
    if lines:
        yield _Entry(tuple(lines), words)
