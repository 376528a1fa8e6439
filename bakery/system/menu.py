"""How GRUB finds a menu entry by what `default` or `saved_entry` says."""

from collections.abc import Sequence

DIGITS_LIMIT = 5


def index(names: Sequence[tuple[str, ...]], wanted: str) -> int | None:
    """The place of the entry `wanted` names: a number from 0, or one of an entry's names.

    `names` holds for each entry its id and title. None where nothing fits (GRUB manual,
    "default").
    """
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= DIGITS_LIMIT:
        return int(wanted) if int(wanted) < len(names) else None
    matching = (place for place, known in enumerate(names) if wanted and wanted in known)
    return next(matching, None)
