"""Text that came out of an image, as a message may carry it."""

SHOWN_CHARACTERS = 160


def shown(text: str | bytes) -> str:
    """`text` in quotes, bounded, with escapes for everything that cannot be printed."""
    if isinstance(text, bytes):
        text = text[: SHOWN_CHARACTERS * 4].decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…")
