"""Text of GRUB's language, each character of which knows the byte that it came from.

A character is a byte (Latin-1) throughout this package: `decoded` and `encoded` lead to text and
back. What GRUB drops when it reads a file line by line is dropped here: carriage returns, what
follows a NUL in its line, and whole lines that begin with `#` (grub-core/lib/getline.c,
grub-core/normal/main.c).
"""

from array import array
from dataclasses import dataclass

from bakery.host.errors import BakeryError
from bakery.system.grub.menu import File, Place

SIZE_LIMIT_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Source:
    """A text, and where it is written.

    `offsets` holds the byte of `file` for each character, and one more for the end. `whole`
    stands for all of them where the text was made out of a file, and is not a part of it.
    """

    chars: str
    file: File
    offsets: "array[int]"
    whole: Place | None = None

    def place(self, start: int, end: int) -> Place:
        """Where the characters from `start` to `end` are written."""
        if self.whole is not None:
            return self.whole
        last = self.offsets[end - 1] + 1 if end > start else self.offsets[start]
        return Place(self.file, self.offsets[start], last)

    def part(self, start: int, end: int) -> "Source":
        """The characters from `start` to `end`."""
        offsets = self.offsets[start : end + 1] if self.whole is None else self.offsets
        return Source(self.chars[start:end], self.file, offsets, self.whole)


def of_file(data: bytes, file: File) -> Source:
    """A configuration file as GRUB reads it; BakeryError where it is out of all proportion."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"{file} holds {len(data)} bytes, more than {SIZE_LIMIT_BYTES}")
    chars: list[str] = []
    offsets = array("l")
    start = 0
    for line in _lines(data):
        _take(line, start, chars, offsets)
        start += len(line)
    offsets.append(len(data))
    return Source("".join(chars), file, offsets)


def made(text: str, place: Place) -> Source:
    """A script that GRUB itself makes out of a file."""
    return Source(text, place.file, array("l"), place)


def decoded(chars: str) -> str:
    """The text that these bytes are; what is no UTF-8 is replaced."""
    return chars.encode("latin-1", "replace").decode("utf-8", "replace")


def encoded(text: str) -> str:
    """The bytes that this text is."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _lines(data: bytes) -> list[str]:
    lines = data.decode("latin-1").split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _take(line: str, start: int, chars: list[str], offsets: "array[int]") -> None:
    """Adds what GRUB keeps of a line, which ends in a line break whether it is written or not."""
    text = line.removesuffix("\n")
    kept = [n for n, char in enumerate(text) if char != "\r"] if "\r" in text else None
    if kept is not None:
        text = "".join(text[n] for n in kept)
    text = text.partition("\0")[0]
    if text.startswith("#"):
        return
    chars.append(text + "\n")
    places = kept[: len(text)] if kept is not None else range(len(text))
    offsets.extend(start + n for n in places)
    offsets.append(start + len(line) - 1 if line.endswith("\n") else start + len(line))
