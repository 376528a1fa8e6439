"""Which of two versions is newer, as boot loaders see it."""

import re

# What a piece counts for, lowest first. The end of a version lies between `~` and `^`.
_TILDE, _END, _CARET, _LETTERS, _NUMBER = range(5)
_PIECES = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
# A segment by UAPI.10: what stands in front of it, each at most once, then digits or letters.
_SEGMENT = re.compile(r"[^0-9A-Za-z~^.-]*(~?)(?:\Z|(-?)(\^?)(\.?)([0-9]+|[A-Za-z]*))")

SortKey = tuple[tuple[int, int, str], ...]
UapiKey = tuple[int | str, ...]


def sort_key(version: str) -> SortKey:
    """A key that sorts versions oldest first, by rpm's comparison, which GRUB's blscfg uses.

    Runs of digits compare as numbers, runs of letters as text, digits are newer than letters,
    the longer of two otherwise equal versions is newer, `~` sorts before everything and `^`
    right behind the end; all other characters only part (rpm: docs/manual/versions, rpmvercmp).
    """
    return (*map(_weight, _PIECES.findall(version)), (_END, 0, ""))


def uapi_key(version: str) -> UapiKey:
    """A key that sorts versions oldest first as systemd-boot does (UAPI.10, "Version Format").

    Segments of digits or letters compare one by one; `~`, `-`, `^` and `.` in front of one make
    it older, in this order, and the end of a version is older than all but `~`.
    """
    key: list[int | str] = []
    place = 0
    while match := _SEGMENT.match(version, place):
        tilde, dash, caret, dot, piece = match.groups()
        ended = piece is None
        key += [not tilde, not ended]
        if ended:
            break
        key += [not dash, not caret, not dot, piece.isdecimal(), *_piece(piece)]
        place = match.end()
    return tuple(key)


def _piece(text: str) -> tuple[int | str, ...]:
    """What one segment compares by; of digits the longer is the bigger, zeros in front aside."""
    if not text.isdecimal():
        return (text,)
    digits = text.lstrip("0")
    return (len(digits), digits)


def _weight(piece: str) -> tuple[int, int, str]:
    if piece == "~":
        return (_TILDE, 0, "")
    if piece == "^":
        return (_CARET, 0, "")
    if piece[0].isdigit():
        # Without leading zeros more digits are a bigger number; int() would be quadratic.
        digits = piece.lstrip("0")
        return (_NUMBER, len(digits), digits)
    return (_LETTERS, 0, piece)
