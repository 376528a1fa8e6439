"""os-release(5): which operating system an image holds.

The file is a list of shell assignments: `KEY=value`, the value bare or in single or double
quotes, with the shell's escapes inside double quotes, and no expansion of any kind.
"""

import re

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable

SIZE_LIMIT_BYTES = 64 << 10
LINE_LIMIT = 1000

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
# One shell word: pieces in single quotes, in double quotes, escaped, or bare.
_PIECE = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)""")
_ESCAPE = re.compile(r'\\(["$`\\])')


class Release(msgspec.Struct, frozen=True):
    """An operating system: `id` (`fedora`), `version` (`21`), `name` for people."""

    id: str
    version: str = ""
    name: str = ""


def parse(text: bytes) -> Release:
    """What an os-release file says; os-release(5)'s own defaults where it says nothing.

    BakeryError when the file is over `SIZE_LIMIT_BYTES` or `LINE_LIMIT` lines. A line that is no
    assignment is passed over, as the manual page asks of readers.
    """
    fields = assignments(text)
    return Release(
        id=fields.get("ID") or "linux",
        version=fields.get("VERSION_ID") or fields.get("VERSION", ""),
        name=fields.get("PRETTY_NAME") or fields.get("NAME") or "Linux",
    )


def assignments(text: bytes) -> dict[str, str]:
    """Every assignment of the file; of two for one key the later holds."""
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"os-release holds {len(text)} bytes, more than {SIZE_LIMIT_BYTES}")
    lines = text.decode("utf-8", "replace").split("\n")
    if len(lines) > LINE_LIMIT:
        raise BakeryError(f"os-release holds {len(lines)} lines, more than {LINE_LIMIT}")
    fields: dict[str, str] = {}
    for line in lines:
        match = _ASSIGNMENT.fullmatch(line.strip())
        value = _unquoted(match[2]) if match else None
        if match and value is not None:
            fields[match[1]] = printable(value)
    return fields


def _unquoted(text: str) -> str | None:
    """The value of one shell word; None where `text` is not exactly one."""
    value, position = "", 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            return None
        single, double, escaped, bare = piece.groups()
        if double is not None:
            double = _ESCAPE.sub(r"\1", double)
        value += single or double or escaped or bare or ""
        position = piece.end()
    return value
