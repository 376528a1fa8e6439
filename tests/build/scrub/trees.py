"""An image that is a few names: each volume's files by path, read as an engine reads them."""

from typing import Any

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import PartitionTable, Survey, Volume, VolumeGroup
from bakery.image.boot_entries import BootEntry
from bakery.image.engines.base import CannotServe, DirectoryEntry, FileMissing, Item
from bakery.image.inspection import Inspection
from bakery.image.reader import Reader

MIB = 1 << 20
LINK = "-> "  # a content that makes the file a link


def volume(number, kind="ext4", **fields):
    return Volume(f"/dev/sda{number}", MIB, (Extent(number * MIB, MIB),), kind, **fields)


class Files:
    """An engine over `trees`: by a volume's name its files, by path without a slash in front."""

    def __init__(self, survey, trees):
        self._survey = survey
        self.trees = trees
        self.unreadable = set()
        self.torn = set()
        """The volumes of which nothing can be read."""

    def survey(self):
        return self._survey

    def cannot_edit(self, where, path):
        return None

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
        if where.name in self.torn:
            raise CannotServe("it is torn")
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
    entries: tuple[BootEntry, ...] = (),
    table: PartitionTable | None = None,
    groups: tuple[VolumeGroup, ...] = (),
) -> tuple[Reader, Inspection]:
    """A reader, and the inspection that finds these roots; trees go by their names."""
    engine: Any = Files(Survey(100 * MIB, table, groups, volumes), trees)
    reader = Reader(engine)
    return reader, Inspection(survey=reader.survey, roots=roots, entries=entries, notes=notes)
