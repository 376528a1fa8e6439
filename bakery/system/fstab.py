"""fstab(5) by its fields, on bytes.

A line is an entry when its first character that is no blank is not `#`; fields are parted by
blanks and tabs, and a blank, tab, line feed or backslash inside one is written as `\\040`,
`\\011`, `\\012`, `\\134` (fstab(5), getmntent(3)). crypttab(5) has the same form of line, and the
device in its second field.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping

import msgspec

from bakery.host.errors import BakeryError
from bakery.system import lines
from bakery.system.mention import Mention, Use

SIZE_LIMIT_BYTES = 1 << 20
LINE_LIMIT = 10_000
# Options with which systemd does not wait for a mount (systemd.mount(5), FSTAB).
OPTIONAL = frozenset({"nofail", "noauto", "x-systemd.automount", "comment=systemd.automount"})
# Options that name a device without which the mount fails: an XFS's log and its realtime device
# (xfs(5)), the journal of an ext4 (ext4(5)), another of a btrfs's (btrfs(5)), whatever else it is
# to wait for (systemd.mount(5)).
FURTHER = ("logdev", "rtdev", "journal_path", "device", "x-systemd.requires")
DEVICE_FIELD = 0
CRYPTTAB_DEVICE_FIELD = 1

_FIELD = re.compile(rb"[^ \t\r]+")
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


class FstabEntry(msgspec.Struct, frozen=True):
    """One entry; `line` is its line in the file, from 1, `line_bytes` its length without the end.

    `mount_point` is decoded and tidied (`/boot/` is `/boot`); the rest is
    decoded, options one by one.
    """

    device: str
    mount_point: str
    type: str
    options: tuple[str, ...]
    line: int
    line_bytes: int


def entries(text: bytes) -> tuple[FstabEntry, ...]:
    """The entries of a file in their order; lines with fewer than two fields are none.

    BakeryError when the file is over `SIZE_LIMIT_BYTES` or `LINE_LIMIT` lines.
    """
    return tuple(
        FstabEntry(
            device=fields[0],
            mount_point=tidy(fields[1]),
            type=fields[2] if len(fields) > 2 else "",
            options=tuple(fields[3].split(",")) if len(fields) > 3 else (),
            line=number,
            line_bytes=length,
        )
        for number, length, fields in _rows(text, "fstab")
    )


def mentions(text: bytes) -> tuple[Mention, ...]:
    """The devices that an fstab names: of each line its own, then those of its options."""
    return tuple(mention for entry in entries(text) for mention in _of_entry(entry))


def _of_entry(entry: FstabEntry) -> Iterator[Mention]:
    if entry.type != "swap" and not entry.mount_point.startswith("/"):
        return
    own = Mention(
        device=entry.device,
        use=_use(entry),
        point="" if entry.type == "swap" else entry.mount_point,
        optional=not OPTIONAL.isdisjoint(entry.options),
        options=entry.options,
        line=entry.line,
        line_bytes=entry.line_bytes,
    )
    yield own
    yield from further(own)


def further(mount: Mention) -> Iterator[Mention]:
    """The devices that the options of a mount name beside its own."""
    for option in mount.options if mount.point else ():
        key, _, device = option.partition("=")
        if key in FURTHER and (device.startswith("/dev/") or "=" in device):
            yield msgspec.structs.replace(mount, device=device, use="log")


def crypttab_mentions(text: bytes) -> tuple[Mention, ...]:
    """The devices that a crypttab(5) has opened, and what device-mapper calls what is in them."""
    return tuple(
        Mention(
            device=fields[CRYPTTAB_DEVICE_FIELD],
            use="unlock",
            optional=not OPTIONAL.isdisjoint(options := "".join(fields[3:4]).split(",")),
            options=tuple(options),
            line=number,
            line_bytes=length,
            makes=fields[0],
        )
        for number, length, fields in _rows(text, "crypttab")
    )


def changed(text: bytes, devices: Mapping[int, str | None], field: int = DEVICE_FIELD) -> bytes:
    """`text` with other devices in these lines, by their number; None takes the line out.

    `field` is where the device stands. The file keeps its length where that can be (see `lines`).
    """
    rows = text.split(b"\n")
    return lines.changed(
        text,
        {
            number: _renamed(rows[number - 1], device, field) if device is not None else None
            for number, device in devices.items()
        },
    )


def bounded(text: bytes, name: str) -> None:
    """BakeryError when a file is over `SIZE_LIMIT_BYTES` or `LINE_LIMIT` lines."""
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"{name} holds {len(text)} bytes, more than {SIZE_LIMIT_BYTES}")
    count = text.count(b"\n") + 1
    if count > LINE_LIMIT:
        raise BakeryError(f"{name} holds {count} lines, more than {LINE_LIMIT}")


def tidy(path: str) -> str:
    """One slash at a time, no `.`, none at the end; `..` stays, as it may lead anywhere."""
    if not path.startswith("/") or ".." in path.split("/"):
        return path
    return posixpath.normpath("/" + path.lstrip("/"))


def _rows(text: bytes, name: str) -> Iterator[tuple[int, int, list[str]]]:
    """The number, the length and the fields of each line that has two or more."""
    bounded(text, name)
    rows = text.split(b"\n")
    for number, row in enumerate(rows, 1):
        # A file edited on Windows keeps its line ends; the carriage return is none of a field's.
        fields = _FIELD.findall(row)
        if len(fields) > 1 and not fields[0].startswith(b"#"):
            length = len(row.removesuffix(b"\r"))
            yield number, length, [_decoded(field) for field in fields]


def _renamed(row: bytes, device: str, field: int) -> bytes:
    body = row.removesuffix(b"\r")
    place = list(_FIELD.finditer(body))[field]
    return body[: place.start()] + device.encode() + body[place.end() :]


def _use(entry: FstabEntry) -> Use:
    if entry.type == "swap":
        return "swap"
    return "root" if entry.mount_point == "/" else "mount"


def _decoded(field: bytes) -> str:
    plain = _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
    return plain.decode("utf-8", "backslashreplace")
