"""systemd's units that mount or swap: which device one names, and one that does nothing.

systemd.syntax(7): `Key=value` lines in sections, comments behind `#` or `;`, a backslash at the
end goes on; an empty value takes back what was said before. systemd.mount(5), systemd.swap(5):
What, Where, Options.
"""

import re

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
_SECTION = re.compile(rb"[ \t]*\[([^\]]+)\]")


def is_of_kernel(name: str) -> bool:
    """Whether the unit of that file name mounts below /dev, /proc or /sys."""
    return name.endswith(".mount") and name.startswith(_OF_KERNEL)


def mention(text: bytes, name: str, *, required: bool) -> Mention | None:
    """The device that the unit of that file name is about; None where it names none.

    `required` tells whether the boot fails without it. BakeryError where the file is too long, or
    the value goes on over several lines, which no device's does.
    """
    bounded(text, name)
    section = b"Mount" if name.endswith(".mount") else b"Swap"
    values = _values(text, section)
    if b"What" not in values:
        return None
    line, device = values[b"What"]
    if device.endswith("\\"):
        raise BakeryError(f"What= in {name} goes on in another line")
    point = tidy(values.get(b"Where", (0, ""))[1])
    options = values.get(b"Options", (0, ""))[1].split(",")
    return Mention(
        device=device,
        use="swap" if section == b"Swap" else "root" if point == "/" else "mount",
        point=point,
        optional=not required or not OPTIONAL.isdisjoint(options),
        line=line,
        line_bytes=len(text.split(b"\n")[line - 1]),
    )


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
    """The last value of each key of a section, and its line from 1."""
    found: dict[bytes, tuple[int, str]] = {}
    here = b""
    for number, row in enumerate(text.split(b"\n"), 1):
        if heading := _SECTION.match(row):
            here = heading[1]
        elif here == section and (pair := _LINE.match(row.rstrip())):
            found[pair[1]] = (number, pair[2].decode("utf-8", "backslashreplace"))
    return {key: value for key, value in found.items() if value[1]}
