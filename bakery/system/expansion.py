"""Boot loader variables filled in, within bounds: a few lines of an image can mean gigabytes."""

from collections.abc import Iterable, Iterator

from bakery.host.errors import BakeryError

LIMIT_CHARACTERS = 16 << 10
"""Of one text: eight times the longest command line that a kernel keeps."""


def joined(pieces: Iterable[str]) -> str:
    """The pieces as one text; BakeryError as soon as it is too long, whatever would follow."""
    return "".join(within(pieces))


def within(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces one by one; BakeryError as soon as they are too long for one text."""
    room = LIMIT_CHARACTERS
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise too_long()
        yield piece


def too_long() -> BakeryError:
    """What is said of a text that is longer than any kernel takes."""
    return BakeryError(
        f"boot loader variables grow into a text of over {LIMIT_CHARACTERS} characters",
        "no kernel takes that: look at grubenv and the boot entries in the image",
    )
