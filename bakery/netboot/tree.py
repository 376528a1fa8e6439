"""The files that are served: a list of names, each a file or some bytes, and nothing else.

A name is looked up in the list and never in the filesystem, so no name, however it is written,
leads to a file that was not listed.
"""

import hashlib
import io
import os
import re
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal
from bakery.host.printable import shown
from bakery.netboot.overlaid import Overlaid, OverlaidFile

NAME_LIMIT = 255
_NAME = re.compile(r"[A-Za-z0-9_.:-]+(?:/[A-Za-z0-9_.:-]+)*", re.ASCII)

Content = Path | Seal | Overlaid | bytes
Taken = Callable[[], None]


class Asker(NamedTuple):
    """Who asks for a file: an IPv4 address, and the secret that came along, if any."""

    address: str
    secret: str = ""


Guard = Callable[[Asker], str]
"""Why this one may not have a file; empty where it may."""
NOBODY = Asker("")


class Forbidden(Exception):
    """The file is served, but not to whoever asked for it."""


def _unnoticed() -> None:
    """Where nobody wants to know that a file was taken."""


@dataclass(frozen=True)
class Opened:
    """A served file, open at its start: its size in bytes, and a tag that names these bytes.

    `taken` is called by who has brought all of it to the client.
    """

    file: BinaryIO
    size_bytes: int
    tag: str
    taken: Taken = _unnoticed


class _Entry(NamedTuple):
    content: Content
    guard: Guard | None
    taken: Taken


class Tree:
    """Names such as `pxelinux.cfg/01-52-54-00-12-34-56`, relative, with what they stand for.

    It may be changed while servers read it, from any thread. A file is opened when it is asked
    for, and what replaces it meanwhile does not change a transfer under way.
    """

    def __init__(self) -> None:
        self._content: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def put(
        self,
        name: str,
        content: Content,
        guard: Guard | None = None,
        taken: Taken = _unnoticed,
    ) -> None:
        """Serve a file, or some bytes, under a name; what was there before is replaced.

        Without a `guard`, everybody may have it. `taken` is called when a client has it all.
        """
        checked(name)
        with self._lock:
            self._content[name] = _Entry(content, guard, taken)

    def remove(self, name: str) -> None:
        """Serve a name no more; one that is not there is left out of account."""
        with self._lock:
            self._content.pop(name, None)

    def remove_below(self, folder: str) -> None:
        """Serve nothing more whose name begins with `folder/`."""
        with self._lock:
            for name in [name for name in self._content if name.startswith(folder + "/")]:
                del self._content[name]

    def names(self) -> list[str]:
        """What is served, sorted."""
        with self._lock:
            return sorted(self._content)

    def open(self, name: str, asker: Asker = NOBODY) -> Opened | None:
        """What a client asks for; None where it is not served.

        Boot programs differ in how they put names together: what is left of a name without empty
        parts and `.` counts (`//a`, `a//b`, `./a`), but for an end in a slash. Forbidden where the
        guard refuses it to `asker`, OSError where a listed file cannot be read, or is another one
        than was sealed.
        """
        with self._lock:
            entry = self._content.get(_plain(name))
        if entry is None:
            return None
        if entry.guard and (reason := entry.guard(asker)):
            raise Forbidden(reason)
        content = entry.content
        if isinstance(content, bytes):
            tag = hashlib.sha256(content).hexdigest()[:32]
            return Opened(io.BytesIO(content), len(content), tag, entry.taken)
        if isinstance(content, Overlaid):
            base = _opened(content.base.path, _file(content.base))
            whole = cast("BinaryIO", OverlaidFile(content, base.file))
            return Opened(whole, content.size_bytes, content.tag(base.tag), entry.taken)
        path = content if isinstance(content, Path) else content.path
        return _opened(path, _file(content), entry.taken)


def checked(name: str) -> str:
    """The name, if it is one that may be served; BakeryError says what a name is."""
    parts = name.split("/")
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name) or {".", ".."} & set(parts):
        raise BakeryError(
            f"{shown(name)} cannot be the name of a served file",
            "letters, digits and '._:-' between single slashes, at most 255 characters",
        )
    return name


def _plain(name: str) -> str:
    """A name as it is served; a parent folder is none, whatever it leads to."""
    *folders, last = name.split("/")
    return "/".join([folder for folder in folders if folder not in ("", ".")] + [last])


def _file(content: Path | Seal) -> BinaryIO:
    if isinstance(content, Path):
        return content.open("rb")
    try:
        return content.open()
    except BakeryError as error:
        raise OSError(error.message) from error


def _opened(path: Path, file: BinaryIO, taken: Taken = _unnoticed) -> Opened:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise OSError(f"{path} is not a regular file")
    tag = f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    return Opened(file, status.st_size, tag, taken)
