"""Patterns over names as systemd-boot matches them: `default` in loader.conf.

Source: systemd, src/boot/efi-string.c, efi_fnmatch. `*` is anything, `?` one character, `[a-z]`
one of a set, and a backslash takes the meaning from what follows. A set has no negation. A pattern
that is not well formed matches nothing. The time is bounded by the product of both lengths.
"""

from collections.abc import Sequence

Range = tuple[str, str]
"""The first and the last character of a range; of several, one has to hold what is matched."""
Piece = tuple[tuple[Range, ...], ...]
"""What stands between two `*`: for each character its ranges."""

_ANY: tuple[Range, ...] = (("\0", "\U0010ffff"),)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a whole name; case counts."""
    pieces = _pieces(pattern)
    if pieces is None or not _fits(pieces[0], name, 0):
        return False
    if len(pieces) == 1:
        return len(name) == len(pieces[0])
    place = len(pieces[0])
    for piece in pieces[1:-1]:
        found = _found(piece, name, place)
        if found is None:
            return False
        place = found + len(piece)
    last = len(name) - len(pieces[-1])
    return place <= last and _fits(pieces[-1], name, last)


def _found(piece: Piece, name: str, start: int) -> int | None:
    """The first place from there on where a piece fits."""
    places = range(start, len(name) - len(piece) + 1)
    return next((place for place in places if _fits(piece, name, place)), None)


def _fits(piece: Piece, name: str, place: int) -> bool:
    if place + len(piece) > len(name):
        return False
    here = name[place : place + len(piece)]
    return all(
        any(low <= char <= high for low, high in ranges)
        for char, ranges in zip(here, piece, strict=True)
    )


def _pieces(pattern: str) -> Sequence[Piece] | None:
    """The pieces of a pattern; None where it ends within a set or behind a backslash."""
    pieces: list[list[tuple[Range, ...]]] = [[]]
    place = 0
    while place < len(pattern):
        char = pattern[place]
        place += 1
        if char == "*":
            pieces.append([])
        elif char == "?":
            pieces[-1].append(_ANY)
        elif char == "[":
            found = _set(pattern, place)
            if found is None:
                return None
            ranges, place = found
            pieces[-1].append(ranges)
        else:
            literal = pattern[place : place + 1] if char == "\\" else char
            if not literal:
                return None
            place += char == "\\"
            pieces[-1].append(((literal, literal),))
    return [tuple(piece) for piece in pieces]


def _set(pattern: str, start: int) -> tuple[tuple[Range, ...], int] | None:
    """The ranges of a set and the place behind it; None where it has no end.

    `]` in front is one of the set. A `-` makes a range of what stands at its sides, unless it is
    the first or the last, or follows a range.
    """
    ranges: list[Range] = []
    place, can_range = start, True
    while place < len(pattern):
        char = pattern[place]
        if char == "]" and place > start:
            return tuple(ranges), place + 1
        after = pattern[place + 1 : place + 2]
        if char == "-" and can_range and place > start and after != "]":
            low, place = pattern[place - 1], place + 1
            place += pattern[place : place + 1] == "\\"
            ranges += [(low, high) for high in pattern[place : place + 1]]
            can_range = False
        else:
            place += char == "\\"
            ranges += [(one, one) for one in pattern[place : place + 1]]
            can_range = True
        place += 1
    return None
