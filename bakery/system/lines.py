"""Lines of a text file changed so that the file keeps its length, where that can be.

A file of the same length can be written over where it lies. A line that goes leaves a comment, a
line that grows takes its bytes from its own blanks, then from the lines that went, then from the
file's comments.
"""

import re
from collections.abc import Mapping

# What stands where a line was: the longest of these that has room, blanks behind it.
_COMMENTS = (
    b"# taken out by bakery: what stood here is not on this disk",
    b"# taken out by bakery",
    b"#",
)
_SPARE_BLANKS = re.compile(rb"[ \t]{2,}|[ \t]+$")


def changed(text: bytes, lines: Mapping[int, bytes | None]) -> bytes:
    """`text` with new lines, by their number from 1; None for one that is taken out.

    The result is longer than `text` only where no byte is left that could be spared. A carriage
    return at the end of a line stays.
    """
    old = text.split(b"\n")
    new = [_line(line, lines[n]) if n in lines else line for n, line in enumerate(old, 1)]
    growth = sum(map(len, new)) - sum(map(len, old))
    for number in lines:
        line = _squeezed(new[number - 1], growth)
        growth -= len(new[number - 1]) - len(line)
        new[number - 1] = line
    gone = [number - 1 for number, line in lines.items() if line is None]
    others = [n for n, line in enumerate(new) if n not in gone and is_comment(line)]
    for number in (*gone, *sorted(others, key=lambda n: -len(new[n]))):
        if growth > 0:
            body, end = _parted(new[number])
            spared = min(growth, spare_bytes(new[number]))
            growth -= spared
            left = len(body) - spared
            new[number] = (_comment(left) if number in gone else body[:left]) + end
    if growth < 0:
        body, end = _parted(new[max(lines) - 1])
        new[max(lines) - 1] = body + b" " * -growth + end
    return b"\n".join(new)


def is_comment(line: bytes) -> bool:
    """Whether a line says nothing to the program that reads it."""
    return line.lstrip(b" \t").startswith(b"#")


def spare_bytes(line: bytes) -> int:
    """How many bytes a comment can give and still be one."""
    return max(0, len(_parted(line)[0].lstrip(b" \t")) - 1)


def _line(old: bytes, new: bytes | None) -> bytes:
    body, end = _parted(old)
    return (_comment(len(body)) if new is None else new) + end


def _comment(length: int) -> bytes:
    text = next((comment for comment in _COMMENTS if len(comment) <= length), b"")
    return text.ljust(length)


def _parted(line: bytes) -> tuple[bytes, bytes]:
    """A line and its carriage return, where it has one."""
    body = line.removesuffix(b"\r")
    return body, line[len(body) :]


def _squeezed(line: bytes, growth: int) -> bytes:
    """The line with as many blanks less as it has grown, one kept between words."""
    while growth > 0 and (spare := max(_SPARE_BLANKS.finditer(line), key=_width, default=None)):
        least = 0 if spare.end() == len(line) else 1
        cut = min(growth, _width(spare) - least)
        line = line[: spare.end() - cut] + line[spare.end() :]
        growth -= cut
    return line


def _width(match: re.Match[bytes]) -> int:
    return match.end() - match.start()
