"""An engine session that is asked each question once, and whose answer may be "nothing there"."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.engines.base import DirectoryEntry, Engine, FileMissing, Item

T = TypeVar("T")


class Place(NamedTuple):
    """A path inside a volume; empty for its root."""

    volume: Volume
    path: str


class Reader:
    """A session with its survey, and a memory of the directories already listed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.survey: Survey = engine.survey()
        self.notes: list[str] = []
        """What could not be looked into."""
        self._entries: dict[tuple[str, str], tuple[DirectoryEntry, ...]] = {}
        self._items: dict[tuple[str, str], tuple[Item, ...]] = {}

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
        try:
            return self.engine.read_file(volume, path)
        except FileMissing:
            return None

    def size_bytes(self, volume: Volume, path: str) -> int:
        """All that lies below a directory, in bytes."""
        total = 0
        for item in self.items(volume, path):
            if item.is_directory:
                total += self.size_bytes(volume, f"{path}/{item.name}")
            total += item.size_bytes
        return total


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
