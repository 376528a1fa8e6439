"""The lines of a file as systemd's boot programs read them: loader.conf, entries, os-release.

Source: systemd, src/boot/efi-string.c, line_get_key_value; UAPI.1 ("The Boot Loader
Specification", "Type #1 Boot Loader Specification Entries"). A line is a key, separators, and the
rest as a value; what stands behind the first NUL of a file is not seen.
"""

import re
from collections.abc import Iterator

from bakery.host.errors import BakeryError

SIZE_LIMIT_BYTES = 256 << 10
LINE_LIMIT = 4000
VALUE_LIMIT = 16 << 10
"""The longest value, in characters: eight times the longest command line that a kernel keeps."""

_BREAKS = re.compile(rb"[\n\r]")
_QUOTES = "\"'"


def pairs(text: bytes, what: str, separators: str = " \t") -> Iterator[tuple[str, str]]:
    """Key and value of each line that has both, in their order.

    Blanks round a line go, `#` begins a comment, quotes round a whole value are taken off, and
    bytes that are no UTF-8 are dropped. BakeryError, naming `what`, beyond the limits above.
    """
    text = text.split(b"\0")[0]
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"{what} holds {len(text)} bytes, more than {SIZE_LIMIT_BYTES}")
    lines = _BREAKS.split(text)
    if len(lines) > LINE_LIMIT:
        raise BakeryError(f"{what} holds {len(lines)} lines, more than {LINE_LIMIT}")
    for line in lines:
        pair = _pair(line.decode("utf-8", "ignore").strip(" \t"), separators)
        if pair and len(pair[1]) > VALUE_LIMIT:
            raise BakeryError(f"{what} has a value of {len(pair[1])} characters")
        if pair:
            yield pair


def _pair(line: str, separators: str) -> tuple[str, str] | None:
    place = next((i for i, char in enumerate(line) if char in separators), None)
    if line.startswith("#") or place is None:
        return None
    value = line[place:].lstrip(separators)
    if value and value[0] in _QUOTES and value[-1] == value[0]:
        value = value[1:-1]
    return line[:place], value
