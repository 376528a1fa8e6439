"""Numbers as GRUB reads them: grub_strtoul of grub-core/kern/misc.c."""

import re

_LIMIT = 1 << 64
_DIGITS = {0: r"[0-9]+", 8: r"[0-7]+", 10: r"[0-9]+", 16: r"[0-9a-fA-F]+"}


def prefix(text: str, base: int = 0) -> tuple[int, str] | None:
    """The number that `text` begins with, and what stands behind it; None where it is none.

    `base` 0 takes 0x for hexadecimal and 0 for octal. None as well where it overflows 64 bits.
    """
    rest = text.lstrip(" \t\n\v\f\r")
    if rest.startswith("0x") and base in (0, 16):
        base, rest = 16, rest[2:]
    elif base == 0 and re.match("0[0-7]", rest):
        base = 8
    match = re.match(_DIGITS[base], rest)
    if match is None or len(match[0]) > 64:
        return None
    number = int(match[0], base or 10)
    return (number, rest[match.end() :]) if number < _LIMIT else None


def signed(text: str) -> int:
    """The number as `test -eq` takes it: a C int, 0 where there is none."""
    negative = text.startswith("-")
    found = prefix(text[1:] if negative else text)
    number = found[0] if found else 0
    number = -number if negative else number
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def unsigned(text: str) -> int:
    """The number at the start of `text`, 0 where there is none."""
    found = prefix(text)
    return found[0] if found else 0


def is_missing(text: str) -> bool:
    """Whether `text` begins with no number at all; one that overflows is there, and is no use."""
    rest = text.lstrip(" \t\n\v\f\r")
    return not re.match("0x[0-9a-fA-F]" if rest.startswith("0x") else "[0-9]", rest)
