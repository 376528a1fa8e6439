"""GRUB's memory disk, `(memdisk)`: a small filesystem within a GRUB.

grub-mkstandalone makes a tar, Debian's signed GRUB holds a FAT; both are read. Others (squashfs,
cpio) are told by their first bytes, and refused where a file of theirs is asked for: what they
hold is not known. Source of tar: POSIX, pax, "ustar Interchange Format"; GNU tar, "Basic Tar
Format"; GRUB, grub-core/fs/{tar,archelp}.c.
"""

import posixpath
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.disk.volumes import fat_files
from bakery.host.errors import BakeryError
from bakery.host.printable import shown

FILE_LIMIT_BYTES = 1 << 20
"""The longest file that is read: more than any menu; fonts are not asked for."""
MEMBER_LIMIT = 20_000
LINK_LIMIT = 8  # as in GRUB
NAME_LIMIT_BYTES = 4096

_BLOCK = 512
_TAR_MAGIC = slice(257, 262)
_OTHERS = {b"hsqs": "a squashfs", b"070701": "a cpio archive", b"070707": "a cpio archive"}


class Memdisk(Protocol):
    """The files of a memory disk; paths are absolute.

    Each of these raises BakeryError where the disk cannot be read.
    """

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory."""

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory; none where there is no such directory."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""


def opened(read_at: ReadAt, place: Extent) -> Memdisk:
    """The memory disk in that place; BakeryError where it is damaged."""

    def inside(offset: int, length: int) -> bytes:
        return read_at(place.offset + offset, max(0, min(length, place.length - offset)))

    head = inside(0, _BLOCK)
    if head[_TAR_MAGIC] == b"ustar":
        return _Tar(inside)
    kind = next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), "")
    if kind:
        return _Unknown(kind)
    return _Fat(inside) if head[:1] in (b"\xeb", b"\xe9") else _Unknown("of no known kind")


class _Unknown:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def is_file(self, path: str) -> bool:
        raise self._refusal(path)

    def is_directory(self, path: str) -> bool:
        raise self._refusal(path)

    def names(self, path: str) -> tuple[str, ...]:
        raise self._refusal(path)

    def read(self, path: str) -> bytes | None:
        raise self._refusal(path)

    def _refusal(self, path: str) -> BakeryError:
        return BakeryError(
            f"GRUB looks for {shown(path)} in its memory disk, which is {self._kind}: "
            "bakery cannot read that",
            "use the whole disk: --layout disk",
        )


class _Fat:
    def __init__(self, read_at: ReadAt) -> None:
        self._files = fat_files.Files(read_at)

    def is_file(self, path: str) -> bool:
        found = self._files.find(path)
        return found is not None and not found.is_directory

    def is_directory(self, path: str) -> bool:
        found = self._files.find(path)
        return found is not None and found.is_directory

    def names(self, path: str) -> tuple[str, ...]:
        found = self._files.find(path)
        if found is None or not found.is_directory:
            return ()
        return tuple(entry.name for entry in self._files.entries(found))

    def read(self, path: str) -> bytes | None:
        found = self._files.find(path)
        if found is None or found.is_directory:
            return None
        return self._files.read(found, FILE_LIMIT_BYTES)


class _Member(msgspec.Struct, frozen=True):
    kind: Literal["file", "directory", "link"]
    place: Extent
    target: str = ""


class _Tar:
    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._members = _members(read_at)

    def is_file(self, path: str) -> bool:
        found = self._find(path)
        return found is not None and found.kind == "file"

    def is_directory(self, path: str) -> bool:
        found = self._find(path)
        return found is not None and found.kind == "directory"

    def names(self, path: str) -> tuple[str, ...]:
        there = self._resolved(path).rstrip("/") + "/"
        inside = (name for name in self._members if name.startswith(there) and name != there)
        return tuple(dict.fromkeys(name[len(there) :].split("/")[0] for name in inside))

    def read(self, path: str) -> bytes | None:
        found = self._find(path)
        if found is None or found.kind != "file":
            return None
        if found.place.length > FILE_LIMIT_BYTES:
            raise BakeryError(
                f"{shown(path)} in GRUB's memory disk is over {FILE_LIMIT_BYTES} bytes"
            )
        data = self._read_at(found.place.offset, found.place.length)
        if len(data) < found.place.length:
            raise BakeryError(f"GRUB's memory disk is cut short within {shown(path)}")
        return data

    def _find(self, path: str) -> _Member | None:
        return self._members.get(self._resolved(path))

    def _resolved(self, path: str) -> str:
        """A path without a link on it; BakeryError where links go on and on."""
        path = _absolute(path)
        for _ in range(LINK_LIMIT):
            names = path.split("/")
            ways = ("/".join(names[:n]) for n in range(2, len(names) + 1))
            link = next((way for way in ways if self._is_link(way)), None)
            if link is None:
                return path
            target = posixpath.join(posixpath.dirname(link), self._members[link].target)
            path = _absolute(target + path[len(link) :])
        raise BakeryError(f"{shown(path)} in GRUB's memory disk is a link that leads nowhere")

    def _is_link(self, path: str) -> bool:
        found = self._members.get(path)
        return found is not None and found.kind == "link"


def _members(read_at: ReadAt) -> Mapping[str, _Member]:
    """What a tar holds, by absolute paths; of two with one name the first counts, as in GRUB."""
    found = {"/": _Member("directory", Extent(0, 0))}
    at, long_name, long_link = 0, "", ""
    for _ in range(MEMBER_LIMIT):
        head = read_at(at, _BLOCK)
        if not any(head):
            return found
        if len(head) < _BLOCK or head[_TAR_MAGIC] != b"ustar":
            raise BakeryError("GRUB's memory disk is a tar that is damaged")
        place = Extent(at + _BLOCK, _octal(head[124:136]))
        at = place.offset + (place.length + _BLOCK - 1) // _BLOCK * _BLOCK
        kind = head[156:157]
        if kind in (b"L", b"K"):
            text = _long(read_at, place)
            long_name, long_link = (text, long_link) if kind == b"L" else (long_name, text)
            continue
        _put(found, head, place, long_name, long_link)
        long_name = long_link = ""
    raise BakeryError(f"GRUB's memory disk holds over {MEMBER_LIMIT} files")


def _put(
    found: dict[str, _Member], head: bytes, place: Extent, long_name: str, long_link: str
) -> None:
    prefix, name = _text(head[345:500]), _text(head[:100])
    path = _absolute(long_name or (f"{prefix}/{name}" if prefix else name))
    target = long_link or _text(head[157:257])
    kind = head[156:157]
    if kind in (b"1", b"2"):
        # A hard link names its file from the root on.
        target = target if kind == b"2" else "/" + target
        found.setdefault(path, _Member("link", Extent(0, 0), target))
    else:
        found.setdefault(path, _Member("directory" if kind == b"5" else "file", place))
    while (path := posixpath.dirname(path)) != "/":
        found.setdefault(path, _Member("directory", Extent(0, 0)))


def _long(read_at: ReadAt, place: Extent) -> str:
    if place.length > NAME_LIMIT_BYTES:
        raise BakeryError(f"a name in GRUB's memory disk is {place.length} bytes long")
    return _text(read_at(place.offset, place.length))


def _absolute(path: str) -> str:
    return posixpath.normpath("/" + path.lstrip("/"))


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _octal(raw: bytes) -> int:
    digits = bytes(raw).split(b"\0")[0].split(b" ")[0]
    if not digits or digits.strip(b"01234567"):
        raise BakeryError("GRUB's memory disk is a tar that is damaged")
    return int(digits, 8)
