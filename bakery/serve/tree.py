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
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bakery.errors import BakeryError
from bakery.system.shown import shown

NAME_LIMIT = 255
_NAME = re.compile(r"[A-Za-z0-9_.:-]+(?:/[A-Za-z0-9_.:-]+)*", re.ASCII)

Content = Path | bytes


@dataclass(frozen=True)
class Opened:
    """A served file, open at its start: its size in bytes, and a tag that names these bytes."""

    file: BinaryIO
    size_bytes: int
    tag: str


class Tree:
    """Names such as `pxelinux.cfg/01-52-54-00-12-34-56`, relative, with what they stand for.

    It may be changed while servers read it, from any thread. A file is opened when it is asked
    for, and what replaces it meanwhile does not change a transfer under way.
    """

    def __init__(self) -> None:
        self._content: dict[str, Content] = {}
        self._lock = threading.Lock()

    def put(self, name: str, content: Content) -> None:
        """Serve a file, or some bytes, under a name; what was there before is replaced."""
        checked(name)
        with self._lock:
            self._content[name] = content

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

    def open(self, name: str) -> Opened | None:
        """What a client asks for; None where it is not served.

        One slash in front is overlooked: boot programs differ in whether they send it. OSError
        where a listed file cannot be read.
        """
        with self._lock:
            content = self._content.get(name.removeprefix("/"))
        if content is None:
            return None
        if isinstance(content, bytes):
            tag = hashlib.sha256(content).hexdigest()[:32]
            return Opened(io.BytesIO(content), len(content), tag)
        return _opened(content)


def checked(name: str) -> str:
    """The name, if it is one that may be served; BakeryError says what a name is."""
    parts = name.split("/")
    if len(name) > NAME_LIMIT or not _NAME.fullmatch(name) or {".", ".."} & set(parts):
        raise BakeryError(
            f"{shown(name)} cannot be the name of a served file",
            "letters, digits and '._:-' between single slashes, at most 255 characters",
        )
    return name


def _opened(path: Path) -> Opened:
    file = path.open("rb")
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise OSError(f"{path} is not a regular file")
    return Opened(
        file, status.st_size, f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"
    )
