"""Text that somebody else wrote, as a line on a terminal may carry it.

Everything that is printed goes through `printable`: a name in it may come from an image, a server
or a node, and hold what moves a cursor, sets a title or turns the reading direction.
"""

import json

LINE_CHARACTERS = 16384
SHOWN_CHARACTERS = 160


def printable(text: str | bytes, limit: int = LINE_CHARACTERS) -> str:
    """`text` as one line of at most `limit` characters of it, an ellipsis where it was longer.

    Control characters, line breaks, marks of direction and lone surrogates become escapes as in
    Python's own literals; a backslash stays as it is.
    """
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("utf-8", "backslashreplace")
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """A text of several lines and of any length: line breaks and tabs stay, the rest as above."""
    lines = text.split("\n")
    return "\n".join(
        "\t".join(printable(part, len(part)) for part in line.split("\t")) for line in lines
    )


def printable_json(value: object, indent: int | None = None) -> str:
    """A value of built-in types as JSON. What could move a cursor is written as JSON's escapes.

    They stand inside strings alone, so that a reader gets what was given; a name that is not
    UTF-8 comes as lone surrogates, as Python has it.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def shown(value: object, limit: int = SHOWN_CHARACTERS) -> str:
    """A value in quotes, as Python writes it: bounded, and with escapes as above."""
    if isinstance(value, bytes):
        value = value[: limit * 4].decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return repr(value if len(value) <= limit else value[: limit - 1] + "…")
    return printable(repr(value), limit)
