"""grubenv: the variables that GRUB keeps from one boot to the next (grub-core/lib/envblk.c)."""

import re
from collections.abc import Iterator

import msgspec

from bakery.host.errors import BakeryError

SIGNATURE = b"# GRUB Environment Block\n"
LIMIT_BYTES = 64 << 10

_LINE = re.compile(r"(?:([^#=\n][^=\n]*)=)?((?:[^\\\n]|\\.)*+)\n", re.DOTALL)


class Saved(msgspec.Struct, frozen=True):
    """A variable of a block: its value's characters, a byte each, and where they are written."""

    name: str
    value: str
    start: int
    end: int


def read(block: bytes) -> tuple[Saved, ...]:
    """The variables of a block: `name=value` lines, `\\` escapes, `#` fills the rest.

    The file is a block of 1024 bytes; other sizes are read as well, up to `LIMIT_BYTES`.
    BakeryError where it is none. A last line cut short is ignored, as GRUB ignores it.
    """
    if len(block) > LIMIT_BYTES or not block.startswith(SIGNATURE):
        raise BakeryError(
            "grubenv is not a GRUB environment block",
            "recreate it in the image: grub-editenv /boot/grub/grubenv create",
        )
    return tuple(_lines(block.decode("latin-1")))


def parse_environment(block: bytes) -> dict[str, str]:
    """The variables of a block, by name; of two with one name the later counts."""
    return {_decoded(saved.name): _decoded(saved.value) for saved in read(block)}


def _lines(content: str) -> Iterator[Saved]:
    position = len(SIGNATURE)
    while match := _LINE.match(content, position):
        if match[1] is not None:
            value = re.sub(r"\\(.)", r"\1", match[2], flags=re.DOTALL)
            yield Saved(match[1], value, *match.span(2))
        position = match.end()


def _decoded(chars: str) -> str:
    return chars.encode("latin-1").decode("utf-8", "replace")
