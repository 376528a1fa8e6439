"""Which of two versions is newer, as boot loaders see it."""

import re

# What a piece counts for, lowest first. The end of a version lies between `~` and `^`.
_TILDE, _END, _CARET, _LETTERS, _NUMBER = range(5)
_PIECES = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")

SortKey = tuple[tuple[int, int, str], ...]


def sort_key(version: str) -> SortKey:
    """A key that sorts versions oldest first, by rpm's comparison, which GRUB's blscfg uses.

    Runs of digits compare as numbers, runs of letters as text, digits are newer than letters,
    the longer of two otherwise equal versions is newer, `~` sorts before everything and `^`
    right behind the end; all other characters only part (rpm: docs/manual/versions, rpmvercmp).
    """
    return (*map(_weight, _PIECES.findall(version)), (_END, 0, ""))


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
