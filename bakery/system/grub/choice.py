"""Which line of a menu `default` and `fallback` name (grub-core/normal/menu.c)."""

from collections.abc import Sequence

from bakery.system.grub import numbers

Names = Sequence[tuple[str, str]]
"""Each line's id and title."""


def default(value: str | None, lines: Names, *, ids_first: bool) -> int:
    """The place of the default; the first where `value` names none.

    `ids_first`: a GRUB with `blscfg` takes an id, then a title, and a number only where the text
    is one. Others take any text that begins with a digit for a number.
    """
    if value is None:
        return 0
    place = _number(value)
    if ids_first:
        named = _named(value, lines, ids_first=True)
        digits = numbers.prefix(value)
        ends = digits is not None and digits[1][:1] in ("", ">")
        place = named if named is not None else place if ends else None
    elif numbers.is_missing(value):
        place = _named(value, lines, ids_first=False)
    return place if place is not None and 0 <= place < len(lines) else 0


def fallbacks(value: str | None, lines: Names, *, ids_first: bool) -> list[int]:
    """The places that `fallback` names, up to the first word that names none."""
    found: list[int] = []
    rest = (value or "").lstrip()
    while rest and len(found) < len(lines):
        number = numbers.prefix(rest)
        word, _, behind = rest.partition(" ")
        named = _named(word, lines, ids_first=True) if ids_first else None
        if named is not None:
            place, rest = named, behind.lstrip()
        elif number is not None and number[0] < len(lines):
            place, rest = number[0], number[1].lstrip(" \t\n\v\f\r")
        else:
            break
        found.append(place)
    return found


def inside(value: str | None) -> str | None:
    """What `default` says of the submenu that it leads to: B of `A>B`; `>>` stands for `>`."""
    at = 0
    text = value or ""
    while at < len(text):
        if text.startswith(">>", at):
            at += 2
            continue
        if text[at] == ">":
            return text[at + 1 :] or None
        at += 1
    return None


def _number(value: str) -> int | None:
    """The number that a text begins with, as a C int."""
    found = numbers.prefix(value)
    return None if found is None else (found[0] + (1 << 31)) % (1 << 32) - (1 << 31)


def _named(value: str, lines: Names, *, ids_first: bool) -> int | None:
    """The line of this id or title."""
    wanted = _head(value)
    if ids_first:
        ids = [place for place, (identity, _) in enumerate(lines) if identity == wanted]
        titles = [place for place, (_, title) in enumerate(lines) if title == wanted]
        return next(iter(ids + titles), None)
    return next((place for place, names in enumerate(lines) if wanted in names), None)


def _head(value: str) -> str:
    """A of `A>B`, with `>>` for a `>` in it."""
    rest = inside(value)
    head = value if rest is None else value[: len(value) - len(rest) - 1]
    if rest is None and value.endswith(">") and not value.endswith(">>"):
        head = value[:-1]
    return head.replace(">>", ">")
