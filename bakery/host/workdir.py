"""The work directory `DIR/.bakery`: one lock, finished stage results by key, scratch space.

A result appears by rename, whole, so a killed build leaves only scratch, which the next one
clears. The directory can be removed at any time; what is lost is time.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.folders import sync

FOLDER = ".bakery"
RECORD = "result.json"
LOCK = "lock"
RESULT = re.compile(r"[a-z]+-[0-9a-z]+")
# What else is made in a work directory: by builds, by uploads, by downloads.
OWN_FOLDERS = ("tmp", "scrubbing", "upload", "download")


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What tells that a file is still the one that was made; hard links share it."""

    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of the file as it is now; a link is not followed."""
        found = path.lstat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class WorkDir:
    """The work directory of the output folder `output`; nothing is made before `locked`."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.absolute() / FOLDER  # a caged program has a working folder of its own
        self.scratch = self.path / "tmp"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory alone; makes it, and clears what a killed run left in scratch.

        Untrusted where another user could change what is in it.
        """
        descriptor = self._lock()
        try:
            folders.fresh(self.scratch)
            yield
        finally:
            folders.remove(self.scratch)
            os.close(descriptor)

    def _lock(self) -> int:
        while True:
            folders.make(self.output)
            folders.make(self.path, mode=0o700)
            try:
                descriptor = folders.open_lock(self.path / LOCK)
            except FileNotFoundError:
                continue  # another run removed the folder between the two calls
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise BakeryError(
                    f"another bakery build is running in {self.output}",
                    "wait for it to finish, or choose another folder with -o",
                ) from None
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # the lock was removed while it was waited for

    def result(self, stage: str, key: str) -> Path | None:
        """The folder of a finished result, its files unchanged since; or None."""
        folder = self.path / f"{stage}-{key}"
        if not _is_result(folder):
            return None
        try:
            stamps = msgspec.json.decode((folder / RECORD).read_bytes(), type=dict[str, Stamp])
            intact = all(Stamp.of(folder / name) == stamp for name, stamp in stamps.items())
            linked = any(path.is_symlink() for path in folder.iterdir())
        except (OSError, msgspec.DecodeError, RecursionError):
            return None
        return folder if intact and not linked else None

    @contextlib.contextmanager
    def making(self, stage: str, key: str) -> Iterator[Path]:
        """An empty folder to make a result in; it becomes the result when the block ends well."""
        folder = self.path / f"{stage}-{key}"
        folders.remove(folder)
        draft = self.scratch / f"{stage}-{key}"
        folders.fresh(draft)
        yield draft
        files = sorted(path for path in draft.iterdir() if path.is_file())
        stamps = {path.name: Stamp.of(path) for path in files}
        (draft / RECORD).write_bytes(msgspec.json.encode(stamps))
        for path in [*files, draft / RECORD, draft]:
            sync(path)
        draft.rename(folder)
        sync(self.path)

    def prune(self, keep: set[Path]) -> None:
        """Remove the results that are not in `keep`, and nothing else."""
        for folder in self.path.iterdir():
            if _is_result(folder) and folder not in keep:
                folders.remove(folder)

    def remove(self) -> None:
        """Take away what was made here, and each folder that nothing else is in."""
        for path in self.path.iterdir() if _is_folder(self.path) else ():
            if _is_result(path) or path.name in OWN_FOLDERS or _is_record(path):
                folders.remove(path)
        with contextlib.suppress(OSError):
            (self.path / LOCK).unlink(missing_ok=True)
            self.path.rmdir()
            self.output.rmdir()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_result(path: Path) -> bool:
    """Whether a folder is the finished result of a stage, by its name and its record."""
    return (
        RESULT.fullmatch(path.name) is not None and _is_folder(path) and _is_record(path / RECORD)
    )


def _is_record(path: Path) -> bool:
    return path.suffix == ".json" and path.is_file() and not path.is_symlink()
