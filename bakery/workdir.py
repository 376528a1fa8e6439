"""The work directory `DIR/.bakery`: one lock, finished stage results by key, scratch space.

A result appears by rename, whole, so a killed build leaves only scratch, which the next one
clears. The directory can be removed at any time; what is lost is time.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bakery.errors import BakeryError

FOLDER = ".bakery"
RECORD = "result.json"


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What tells that a file is still the one that was made; hard links share it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of the file as it is now."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)


class WorkDir:
    """The work directory of the output folder `output`; nothing is made before `locked`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.absolute() / FOLDER  # a caged program has a working folder of its own
        self.scratch = self.path / "tmp"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone; makes it, and clears what a killed run left in scratch."""
        descriptor = self._lock()
        try:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir()
            yield
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)
            os.close(descriptor)

    def _lock(self) -> int:
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # another run removed the folder between the two calls
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise BakeryError(
                    f"another bakery build is at work in {self.output}",
                    "wait for it to end, or choose another folder with -o",
                ) from None
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # the lock was removed while it was waited for

    def result(self, stage: str, key: str) -> Path | None:
        """The folder of a finished result, its files unchanged since; or None."""
        folder = self.path / f"{stage}-{key}"
        try:
            stamps = msgspec.json.decode((folder / RECORD).read_bytes(), type=dict[str, Stamp])
            intact = all(Stamp.of(folder / name) == stamp for name, stamp in stamps.items())
        except (OSError, msgspec.DecodeError):
            return None
        return folder if intact else None

    @contextlib.contextmanager
    def making(self, stage: str, key: str) -> Iterator[Path]:
        """An empty folder to make a result in; it becomes the result when the block ends well."""
        folder = self.path / f"{stage}-{key}"
        shutil.rmtree(folder, ignore_errors=True)
        draft = self.scratch / f"{stage}-{key}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        yield draft
        files = sorted(path for path in draft.iterdir() if path.is_file())
        stamps = {path.name: Stamp.of(path) for path in files}
        (draft / RECORD).write_bytes(msgspec.json.encode(stamps))
        for path in [*files, draft / RECORD, draft]:
            sync(path)
        draft.rename(folder)
        sync(self.path)

    def prune(self, keep: set[Path]) -> None:
        """Remove the results that are not in `keep`."""
        for folder in self.path.iterdir():
            if folder.is_dir() and folder != self.scratch and folder not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Take everything away, and the output folder too when nothing else is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.output.rmdir()


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes, scratch: Path) -> None:
    """Write a file that is there whole or not at all: in `scratch`, fsync, rename."""
    draft = scratch / path.name
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync(path.parent)
