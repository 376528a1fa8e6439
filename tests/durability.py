"""Was it on the disk before it had its name? Fsync and rename as a test sees them, in their order.

Only this process is watched. A file counts as brought to the disk where fsync(2) found it as it
was when it got its name: the same inode, size and time of change.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

State = tuple[int, int, int, int]  # device, inode, size, mtime in nanoseconds


def state(stat: os.stat_result) -> State:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


@dataclass
class Disk:
    """The events so far. A name's event holds the state of all that came under it."""

    synced: list[tuple[int, State]] = field(default_factory=list)
    named: list[tuple[int, Path, list[State]]] = field(default_factory=list)
    removed: list[tuple[int, Path]] = field(default_factory=list)

    def tick(self) -> int:
        return len(self.synced) + len(self.named) + len(self.removed)

    def fsync(self, descriptor: Any) -> None:
        self.synced.append((self.tick(), state(os.fstat(descriptor))))

    def renames(self, source: Any, target: Any) -> None:
        held = [Path(source), *Path(source).rglob("*")] if Path(source).is_dir() else [Path(source)]
        states = [state(path.lstat()) for path in held]
        self.named.append((self.tick(), Path(target).absolute(), states))

    def names(self) -> list[str]:
        """The last parts of the names given, in order."""
        return [path.name for _, path, _ in self.named]

    def removes(self, path: Any) -> None:
        self.removed.append((self.tick(), Path(path).absolute()))

    def forgotten(self, path: Path) -> int:
        """When the folder of a name that was taken away was brought to the disk; asserts that."""
        moment = next(at for at, gone in self.removed if gone == path.absolute())
        folder = state(path.parent.stat())[:2]
        after = [at for at, s in self.synced if at > moment and s[:2] == folder]
        assert after, f"{path.name} may be there again after a power failure"
        return after[0]

    def whole(self, path: Path) -> bool:
        """Whether all that a name holds was on the disk before the name was given."""
        moment, states = self.last(path)
        return all(any(at < moment and s == one for at, s in self.synced) for one in states)

    def lasting(self, path: Path) -> bool:
        """Whether the folder that holds the name was brought to the disk afterwards."""
        moment, _ = self.last(path)
        folder = state(path.parent.stat())[:2]
        return any(at > moment and s[:2] == folder for at, s in self.synced)

    def last(self, path: Path) -> tuple[int, list[State]]:
        found = [(at, states) for at, name, states in self.named if name == path.absolute()]
        assert found, f"{path.name} was never named; {self.names()} were"
        return found[-1]

    def assert_durable(self, path: Path) -> None:
        """File, name, folder: each on the disk before the next."""
        assert self.whole(path), f"{path.name} got its name before its content was on the disk"
        assert self.lasting(path), f"the folder that holds {path.name} was not brought to the disk"


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """What this process brings to the disk and names (rename, replace, link) from now on."""
    seen = Disk()
    fsync, rename, replace, link, unlink = os.fsync, os.rename, os.replace, os.link, os.unlink

    def watched_fsync(descriptor: Any) -> None:
        fsync(descriptor)
        seen.fsync(descriptor)

    def watched(call: Any) -> Any:
        def name(source: Any, target: Any, **options: Any) -> None:
            seen.renames(source, target)
            call(source, target, **options)

        return name

    def watched_unlink(path: Any, **options: Any) -> None:
        unlink(path, **options)
        seen.removes(path)

    monkeypatch.setattr(os, "unlink", watched_unlink)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched(rename))
    monkeypatch.setattr(os, "replace", watched(replace))
    monkeypatch.setattr(os, "link", watched(link))
    yield seen
