"""An engine session that is asked each question once, and whose answer may be "nothing there"."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.engines.base import DirectoryEntry, Engine, FileMissing, Item

T = TypeVar("T")

EMPTY: Mapping[tuple[str, str], bytes] = MappingProxyType({})
CASELESS = "vfat"
"""The filesystem whose names have no case."""
BLOCK_BYTES = 1 << 20
BLOCKS_KEPT = 16


class Place(NamedTuple):
    """A path inside a volume; empty for its root."""

    volume: Volume
    path: str


class Reader:
    """A session with its survey, and a memory of the directories already listed."""

    def __init__(self, engine: Engine, texts: Mapping[tuple[str, str], bytes] = EMPTY) -> None:
        self.engine = engine
        self._texts = texts
        self.survey: Survey = engine.survey()
        self.notes: list[str] = []
        """What could not be looked into."""
        self._entries: dict[tuple[str, str], tuple[DirectoryEntry, ...]] = {}
        self._items: dict[tuple[str, str], tuple[Item, ...]] = {}

    def with_texts(self, texts: Mapping[tuple[str, str], bytes]) -> "Reader":
        """What it would tell if files had these texts, by their volume's name and their path."""
        found = Reader(self.engine, texts)
        found._entries, found._items = self._entries, self._items
        return found

    def directory(self, volume: Volume, path: str) -> tuple[DirectoryEntry, ...]:
        """The names in a directory, links followed; none where there is no such directory."""
        return _listed(self._entries, self.engine.list_directory, volume, path)

    def items(self, volume: Volume, path: str) -> tuple[Item, ...]:
        """What stands in a directory, links not followed; nothing where there is none."""
        return _listed(self._items, self.engine.items, volume, path)

    def names(self, volume: Volume, path: str) -> set[str]:
        """The bare names in a directory."""
        return {entry.name for entry in self.directory(volume, path)}

    def exists(self, volume: Volume, path: str) -> bool:
        """Whether the last name of `path` stands in its directory."""
        folder, _, name = path.rstrip("/").rpartition("/")
        return name in self.names(volume, folder)

    def text(self, volume: Volume, path: str) -> bytes | None:
        """A file's content, or None where there is none."""
        if (volume.name, path) in self._texts:
            return self._texts[volume.name, path]
        try:
            return self.engine.read_file(volume, path)
        except FileMissing:
            return None

    def item(self, volume: Volume, path: str) -> Item | None:
        """What stands at a path, the last name not followed where it is a link; None for nothing.

        The root of a volume is an item without a name. On a FAT any case of letters will do.
        """
        if not path.strip("/"):
            return Item("", is_directory=True, size_bytes=0)
        folder, _, name = path.rstrip("/").rpartition("/")
        found = {item.name: item for item in self.items(volume, folder)}
        if name in found or volume.type != CASELESS:
            return found.get(name)
        return next((item for item in found.values() if item.name.lower() == name.lower()), None)

    def spelled(self, volume: Volume, path: str) -> str:
        """The path as its names are spelled on the volume; behind a name it lacks, as it is."""
        if volume.type != CASELESS:
            return path
        names = [name for name in path.split("/") if name]
        found = ""
        for position, name in enumerate(names):
            item = self.item(volume, f"{found}/{name}")
            if item is None:
                return "/".join([found, *names[position:]])
            found += "/" + item.name
        return found or "/"

    def bytes_of(self, volume: Volume, path: str) -> ReadAt:
        """What reads any range of a file, block by block, each asked for once."""
        return _Blocks(lambda offset, length: self.engine.piece(volume, path, offset, length))

    def disk(self) -> ReadAt:
        """What reads any range of the disk, likewise."""
        return _Blocks(self.engine.read_disk)

    def size_bytes(self, volume: Volume, path: str) -> int:
        """All that lies below a directory, in bytes."""
        total = 0
        for item in self.items(volume, path):
            if item.is_directory:
                total += self.size_bytes(volume, f"{path}/{item.name}")
            total += item.size_bytes
        return total


class _Blocks:
    """A `ReadAt` over another that is slow to ask: whole blocks, of which the last are kept."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._kept: dict[int, bytes] = {}

    def __call__(self, offset: int, length: int) -> bytes:
        first, last = offset // BLOCK_BYTES, max(offset, offset + length - 1) // BLOCK_BYTES
        data = b"".join(map(self._block, range(first, last + 1)))
        start = offset - first * BLOCK_BYTES
        return data[start : start + length]

    def _block(self, number: int) -> bytes:
        if number not in self._kept:
            if len(self._kept) == BLOCKS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = self._read_at(number * BLOCK_BYTES, BLOCK_BYTES)
        return self._kept[number]


def _listed(
    known: dict[tuple[str, str], tuple[T, ...]],
    ask: Callable[[Volume, str], Sequence[T]],
    volume: Volume,
    path: str,
) -> tuple[T, ...]:
    place = (volume.name, path or "/")
    if place not in known:
        try:
            known[place] = tuple(ask(volume, place[1]))
        except FileMissing:
            known[place] = ()
    return known[place]
