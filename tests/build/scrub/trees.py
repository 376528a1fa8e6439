"""An image that is a few names: each volume's files by path, read as an engine reads them."""

from typing import Any

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.engines.base import CannotServe, DirectoryEntry, FileMissing, Item
from bakery.image.inspection import Inspection
from bakery.image.reader import Reader

MIB = 1 << 20
LINK = "-> "  # a content that makes the file a link


def volume(number, kind="ext4", **fields):
    return Volume(f"/dev/sda{number}", MIB, (Extent(number * MIB, MIB),), kind, **fields)


class Files:
    """An engine over `trees`: by a volume's name its files, by path without a slash in front."""

    def __init__(self, volumes, trees):
        self.volumes = volumes
        self.trees = trees
        self.unreadable = set()

    def survey(self):
        return Survey(100 * MIB, None, (), self.volumes)

    def _names(self, where, path):
        start = path.strip("/") + "/" if path.strip("/") else ""
        found = {}
        for name, content in self.trees.get(where.name, {}).items():
            if name.startswith(start):
                word, slash, _ = name[len(start) :].partition("/")
                found[word] = (bool(slash), content)
        if not found:
            raise FileMissing(path)
        return sorted(found.items())

    def items(self, where, path):
        return [
            Item(name, is_folder, 0 if is_folder else len(content))
            for name, (is_folder, content) in self._names(where, path)
        ]

    def list_directory(self, where, path):
        return [
            DirectoryEntry(name, is_folder) for name, (is_folder, _) in self._names(where, path)
        ]

    def read_file(self, where, path):
        if path in self.unreadable:
            raise CannotServe(f"{path} cannot be read here")
        content = self.trees.get(where.name, {}).get(path.strip("/"))
        if content is None:
            raise FileMissing(path)
        return content.encode()


def opened(
    trees: dict[str, dict[str, str]],
    *volumes: Volume,
    roots: tuple[str, ...] = ("/dev/sda1",),
    notes: tuple[str, ...] = (),
) -> tuple[Reader, Inspection]:
    """A reader, and the inspection that finds these roots; trees go by their names."""
    engine: Any = Files(volumes, trees)
    reader = Reader(engine)
    return reader, Inspection(survey=reader.survey, roots=roots, notes=notes)
