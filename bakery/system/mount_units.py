"""systemd's units that mount or swap: which device one names, and one that does nothing.

systemd.syntax(7): `Key=value` lines in sections, comments behind `#` or `;`, a backslash at the
end goes on; an empty value takes back what was said before. systemd.mount(5), systemd.swap(5):
What, Where, Options. A unit is read with the drop-ins of its own folder, `NAME.d`, behind it
(systemd.unit(5)); they stand also for the units that a generator makes.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bakery.host.errors import BakeryError
from bakery.system import lines
from bakery.system.fstab import OPTIONAL, bounded, tidy
from bakery.system.mention import Mention

SUFFIXES = (".mount", ".swap")
AUTOMOUNT = ".automount"
_SKIPPED = "[Unit]\nConditionPathExists=!/\n"
# Where the kernel's own filesystems are mounted, and nothing of a disk.
_OF_KERNEL = ("dev-", "proc-", "sys-")
_LINE = re.compile(rb"[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(.*)")
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_SECTION = re.compile(rb"[ \t]*\[([^\]]+)\]")


class Named(NamedTuple):
    """What a unit names, and in which of its texts, from 0."""

    text: int
    mention: Mention


def is_of_kernel(name: str) -> bool:
    """Whether the unit of that file name mounts below /dev, /proc or /sys."""
    return name.endswith(".mount") and name.startswith(_OF_KERNEL)


def mention(texts: Sequence[bytes], name: str, *, required: bool) -> Named | None:
    """The device that the unit of that file name is about; None where it names none.

    `texts` are its file and its drop-ins, in the order in which they count. `required` tells
    whether the boot fails without it. BakeryError where a file is too long, or the value goes on
    over several lines, which no device's does.
    """
    section = b"Mount" if name.endswith(".mount") else b"Swap"
    values: dict[bytes, tuple[int, int, str]] = {}
    for number, text in enumerate(texts):
        bounded(text, name)
        values |= {key: (number, *value) for key, value in _values(text, section).items()}
    number, line, device = values.get(b"What", (0, 0, ""))
    if not device:
        return None
    if device.endswith("\\"):
        raise BakeryError(f"What= in {name} goes on in another line")
    point = _where(name, values.get(b"Where", (0, 0, ""))[2])
    options = values.get(b"Options", (0, 0, ""))[2].split(",")
    found = Mention(
        device=device,
        use="swap" if section == b"Swap" else "root" if point == "/" else "mount",
        point=point,
        optional=not required or not OPTIONAL.isdisjoint(options),
        options=tuple(options),
        line=line,
        line_bytes=len(texts[number].split(b"\n")[line - 1]),
    )
    return Named(number, found)


def name_of(point: str) -> str:
    """The unit that mounts there: its path with what a file name cannot have written as `\\xNN`
    (systemd.unit(5), STRING ESCAPING)."""
    path = point.strip("/")
    if not path:
        return "-.mount"
    return "".join(_escaped(path)) + ".mount"


def _escaped(path: str) -> Iterator[str]:
    for place, byte in enumerate(path.encode("utf-8", "surrogateescape")):
        letter = chr(byte)
        leads = letter == "." and not place
        plain = letter.isascii() and (letter.isalnum() or letter in ":_.") and not leads
        yield "-" if letter == "/" else letter if plain else f"\\x{byte:02x}"


def _where(name: str, said: str) -> str:
    """Where a unit mounts: a drop-in need not say what the unit's name says as well."""
    if said or not name.endswith(".mount"):
        return tidy(said)
    path = name.removesuffix(".mount").replace("-", "/")
    plain = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), path.encode("utf-8", "replace"))
    return tidy("/" + plain.decode("utf-8", "backslashreplace").lstrip("/"))


def renamed(text: bytes, line: int, device: str) -> bytes:
    """The unit with another device in that line, at its length where that can be."""
    old = text.split(b"\n")[line - 1]
    return lines.changed(text, {line: old.partition(b"=")[0] + b"=" + device.encode()})


def without_device(text: bytes, point: str) -> bytes:
    """A unit in its place that waits for nothing and mounts nothing, of its length if that can be.

    It is there to be skipped: a unit that is masked, or cannot be loaded, fails what requires it.
    """
    quiet = _quiet(point)
    spare = len(text) - len(quiet)
    return quiet + (b"#".ljust(spare - 1) + b"\n" if spare > 1 else b"\n" * spare)


def quiet_bytes(point: str) -> int:
    """The least length of what `without_device` makes."""
    return len(_quiet(point))


def _quiet(point: str) -> bytes:
    """A swap without a device of its own waits for none; a mount has to have one, and a place."""
    body = f"[Mount]\nWhat=/\nWhere={point}\n" if point else "[Swap]\n"
    return (_SKIPPED + body).encode()


def _values(text: bytes, section: bytes) -> dict[bytes, tuple[int, str]]:
    """The last value of each key of a section, empty ones too, and its line from 1."""
    found: dict[bytes, tuple[int, str]] = {}
    here = b""
    for number, row in enumerate(text.split(b"\n"), 1):
        if heading := _SECTION.match(row):
            here = heading[1]
        elif here == section and (pair := _LINE.match(row.rstrip())):
            found[pair[1]] = (number, pair[2].decode("utf-8", "backslashreplace"))
    return found
