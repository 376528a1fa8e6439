"""grubenv: the variables that GRUB keeps from one boot to the next (grub-core/lib/envblk.c)."""

import re
from collections.abc import Iterator

import msgspec

from bakery.host.errors import BakeryError

SIGNATURE = b"# GRUB Environment Block\n"
LIMIT_BYTES = 64 << 10

_LINE = re.compile(r"(?:([^#=\n][^=\n]*)=)?((?:[^\\\n]|\\.)*)\n", re.DOTALL)


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


def changed(block: bytes, name: str, value: str) -> bytes:
    """The block with another value for `name`, at its old place or in the room at the end.

    The size stays, as GRUB writes blocks where they lie. BakeryError where it has no room left,
    or it is none.
    """
    written = re.sub(r"([\\\n])", r"\\\1", value).encode()
    old = next((saved for saved in reversed(read(block)) if saved.name == name), None)
    if old is not None:
        new = block[: old.start] + written + block[old.end :]
    else:
        end = _end_of_lines(block)
        new = block[:end] + name.encode() + b"=" + written + b"\n" + block[end:]
    spare = len(new) - len(new.rstrip(b"#"))
    if len(new) - spare > len(block):
        raise BakeryError(f"grubenv has no room for {name}: it is {len(block)} bytes long")
    return new[: len(new) - spare].ljust(len(block), b"#")


def _end_of_lines(block: bytes) -> int:
    """Where the room at the end begins."""
    return max(len(SIGNATURE), len(block.rstrip(b"#")))
