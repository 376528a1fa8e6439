"""Questions to an engine whose answers may be "nothing there", each asked once."""

from bakery.disk.volumes import Survey, Volume
from bakery.engines.base import Engine, Entry, FileMissing


class Look:
    """An engine session with its survey and a memory of the directories already listed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.survey: Survey = engine.survey()
        self.notes: list[str] = []
        self._listed: dict[tuple[str, str], tuple[Entry, ...]] = {}

    def directory(self, volume: Volume, path: str) -> tuple[Entry, ...]:
        """The names in a directory; none where there is no such directory."""
        place = (volume.device, path)
        if place not in self._listed:
            try:
                self._listed[place] = tuple(self.engine.list_directory(volume, path))
            except FileMissing:
                self._listed[place] = ()
        return self._listed[place]

    def names(self, volume: Volume, path: str) -> set[str]:
        """The bare names in a directory."""
        return {entry.name for entry in self.directory(volume, path)}

    def exists(self, volume: Volume, path: str) -> bool:
        """Whether the last name of `path` stands in its directory."""
        folder, _, name = path.rstrip("/").rpartition("/")
        return name in self.names(volume, folder or "/")

    def text(self, volume: Volume, path: str) -> bytes | None:
        """A file's content, or None where there is none."""
        try:
            return self.engine.read_file(volume, path)
        except FileMissing:
            return None
