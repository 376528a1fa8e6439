"""GRUB's file names: a device in brackets or `$root`, then a path; read once, within bounds."""

import re

from bakery.host.errors import BakeryError
from bakery.system.grub.menu import File
from bakery.system.grub.source import decoded, encoded
from bakery.system.grub.variables import Variables
from bakery.system.grub.world import World

PATH_LIMIT = 4096
READ_LIMIT = 2000
READ_LIMIT_BYTES = 16 << 20

_NAME = re.compile(r"(?:\(([^)]*)\))?(.*)", re.DOTALL)


class Disk:
    """What a run reads of the world: each file once, all of them within bounds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._read: dict[File, bytes | None] = {}
        self._room = READ_LIMIT_BYTES

    def read(self, file: File) -> bytes | None:
        """A file's bytes; BakeryError where a run reads out of all proportion."""
        if file not in self._read:
            data = self.world.read(file.device, file.path)
            self._room -= len(data or b"")
            if self._room < 0 or len(self._read) >= READ_LIMIT:
                raise BakeryError("GRUB's scripts read files out of all proportion")
            self._read[file] = data
        return self._read[file]


class Files:
    """File names of one context: those without a device are on `root`."""

    def __init__(self, disk: Disk, variables: Variables) -> None:
        self.disk = disk
        self.variables = variables

    def named(self, name: str) -> File | None:
        """The file of this name; None where it is none, or names no file (a list of blocks)."""
        match = _NAME.fullmatch(name)
        if match is None or len(name) > PATH_LIMIT or (name.startswith("(") and match[1] is None):
            return None
        device = match[1] if match[1] is not None else self.variables.get("root") or ""
        path = tidied(match[2])
        return File(decoded(device), decoded(path)) if device and path else None

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None where there is none."""
        file = self.named(name)
        return self.disk.read(file) if file else None

    def size(self, name: str) -> int | None:
        """How many bytes a file holds; None where there is none."""
        data = self.read(name)
        return None if data is None else len(data)

    def is_file(self, name: str) -> bool:
        """Whether a file stands there; a path without a slash in front is taken from the top."""
        file = self._from_top(name)
        return file is not None and self.disk.world.is_file(file.device, file.path)

    def is_directory(self, name: str) -> bool:
        """Whether a folder stands there; each device that is there has one at its top."""
        file = self._from_top(name)
        return file is not None and self.disk.world.is_directory(file.device, file.path)

    def names(self, folder: str) -> tuple[str, ...] | None:
        """The names in a folder; None where there is none."""
        file = self._from_top(folder)
        if file is None or not self.disk.world.is_directory(file.device, file.path):
            return None
        return tuple(map(encoded, self.disk.world.names(file.device, file.path)))

    def exists(self, name: str) -> bool:
        """Whether a file or a folder stands there."""
        return self.is_file(name) or self.is_directory(name)

    def _from_top(self, name: str) -> File | None:
        match = _NAME.fullmatch(name)
        if match is None or not match[2].startswith("/"):
            name = f"({match[1]})/{match[2]}" if match and match[1] is not None else "/" + name
        return self.named(name)


def tidied(path: str) -> str:
    """A path without empty parts, `.` and `..`; empty where it does not begin at the top."""
    if not path.startswith("/"):
        return ""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
