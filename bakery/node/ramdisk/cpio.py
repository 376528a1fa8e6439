"""An initramfs archive: the same files give the same bytes.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst (`newc`).
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MAGIC = b"070701"
TRAILER = "TRAILER!!!"
FOLDER = stat.S_IFDIR | 0o755


@dataclass(frozen=True)
class Member:
    """A file, folder, link or device: mode with its type, content (a link's target), device."""

    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(content: bytes, *, executable: bool = False) -> Member:
    """A plain file."""
    return Member(stat.S_IFREG | (0o755 if executable else 0o644), content)


def link(target: str) -> Member:
    """A symbolic link."""
    return Member(stat.S_IFLNK | 0o777, target.encode())


def character_device(major: int, minor: int) -> Member:
    """A character device that root alone may open."""
    return Member(stat.S_IFCHR | 0o600, device=(major, minor))


def pack(tree: Mapping[str, Member]) -> Iterator[bytes]:
    """The archive of `tree` (path without leading slash → entry), with the folders it needs.

    Sorted, owned by root, without times: nothing of the machine or the moment is in it.
    """
    folders = {str(parent) for path in tree for parent in PurePosixPath(path).parents} - {"."}
    entries = dict.fromkeys(folders, Member(FOLDER)) | dict(tree)
    for number, path in enumerate(sorted(entries), start=1):
        yield _record(path, entries[path], number)
    yield _record(TRAILER, Member(0), 0)


def _record(path: str, entry: Member, number: int) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, *entry.device)
    header = MAGIC + b"".join(b"%08x" % field for field in (*fields, len(name), 0))
    return _padded(header + name) + _padded(entry.content)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
