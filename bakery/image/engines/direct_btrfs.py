"""Names in a btrfs that nobody mounts, as the direct engine tells of them.

GRUB's reader knows a btrfs by its top level alone, and follows every link from there, which is
wrong inside a subvolume. So names, links and sizes come out of the trees themselves, and what GRUB
is left with is a path without a link on it, from the top level down: it reads the content.
"""

import stat

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.btrfs_files import DIRECTORY, LINK, Files, Found, Node
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import DirectoryEntry, FileMissing, Item


class Names:
    """The names in one btrfs, whichever of its subvolumes is meant; `read_at` reads the volume."""

    def __init__(self, read_at: ReadAt) -> None:
        self._files = Files(read_at)

    def entries(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        """The names in a directory, sorted, links followed."""
        folder = self._directory(volume, path)
        return sorted(
            DirectoryEntry(_text(name, path), self._is_directory(folder, name, node))
            for name, node in self._files.directory(folder.node)
        )

    def items(self, volume: Volume, path: str) -> list[Item]:
        """The names in a directory with their sizes, sorted, links not followed."""
        folder = self._directory(volume, path)
        return sorted(
            Item(_text(name, path), node.kind == DIRECTORY, self._size(folder, name, node))
            for name, node in self._files.directory(folder.node)
        )

    def plain(self, volume: Volume, path: str) -> str:
        """The path from the top level that leads to the same, without a link on it."""
        names = [_text(name, path) for name in self._found(volume, path).names]
        return "/" + "/".join([*filter(None, [volume.subvolume]), *names])

    def identity(self, volume: Volume, path: str) -> Node:
        """What all names of one file have in common."""
        return self._found(volume, path).node

    def _found(self, volume: Volume, path: str) -> Found:
        if not path.startswith("/") or not path.isprintable():
            raise BakeryError(f"{path!r} is not a path in a volume")
        top = self._files.top(volume.subvolume_id)
        found = self._files.find(top, path.encode("utf-8", "surrogateescape"))
        if found is None or (path.endswith("/") and found.node.kind != DIRECTORY):
            raise FileMissing(f"there is no {path} in {volume.name}")
        return found

    def _directory(self, volume: Volume, path: str) -> Found:
        found = self._found(volume, path)
        if found.node.kind != DIRECTORY:
            raise FileMissing(f"there is no directory {path} in {volume.name}")
        return found

    def _is_directory(self, folder: Found, name: bytes, node: Node) -> bool:
        found = self._files.find(folder, name) if node.kind == LINK else None
        return (found.node if found else node).kind == DIRECTORY

    def _size(self, folder: Found, name: bytes, node: Node) -> int:
        """The size of a file, or of the file that a link leads to; 0 of anything else."""
        if node.kind == LINK:
            found = self._files.find(folder, name)
            if found is None:
                return 0
            node = found.node
        size, mode = self._files.status(node)
        return size if stat.S_ISREG(mode) else 0


def _text(name: bytes, path: str) -> str:
    text = name.decode("utf-8", "surrogateescape")
    if not text.isprintable():
        raise BakeryError(f"{path} holds a name that is not plain text: {text[:60]!r}")
    return text
