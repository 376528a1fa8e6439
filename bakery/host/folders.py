"""Folders that others may have been in before us: what is used there, and how it is made.

A path is used where nobody but root and the user at work can change what lies at any of its names
(as sshd's StrictModes asks): each folder on the way is theirs, and nobody else may write there, or
has the sticky bit against him. A link on the way is one of theirs; the last name is never a link.
What was checked so cannot be exchanged afterwards, so that plain paths are safe behind it.
"""

import contextlib
import grp
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bakery.host.errors import BakeryError

MOST_LINKS = 40  # as path_resolution(7) has it
ELSEWHERE = "choose a place that only you can write to"


class Untrusted(BakeryError):
    """Somebody else could change, or has laid out, what lies at a path."""


def check(path: Path) -> Path:
    """The way to `path` and, where it exists, what is there: `path` without links, or Untrusted.

    What is missing yet is made by us, so it is ours.
    """
    at, todo, links = Path("/"), list(path.absolute().parts[1:]), 0
    while todo:
        name = todo.pop(0)
        if name == "..":
            at = at.parent
            continue
        try:
            status = (at / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Path(at, name, *todo)
        _check_owner(at / name, status)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if not todo or links > MOST_LINKS:
                raise _is_link(at / name)
            target = (at / name).readlink()
            todo = [part for part in target.parts if part != "/"] + todo
            at = Path("/") if target.is_absolute() else at
            continue
        at /= name
        if stat.S_ISDIR(status.st_mode):
            _check_mode(at, status)
    return at


def make(path: Path, mode: int = 0o777, *, parents: bool = True) -> None:
    """A folder of ours at `path`, with the missing ones above it; Untrusted or OSError.

    With `mode` it is for these users alone, also where it was there before.
    """
    real = check(path)
    above = real.parents if parents else ()
    missing = [folder for folder in (real, *above) if not folder.exists()]
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another bakery was quicker
            folder.mkdir(mode=mode if folder == real else 0o777)
    check(path)
    status = real.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(20, "it is not a folder", str(path))
    if mode & 0o777 != 0o777 and status.st_mode & 0o777 & ~mode and status.st_uid == os.geteuid():
        real.chmod(mode)


def fresh(path: Path) -> None:
    """An empty folder of ours at `path`, in a checked one; what was there is removed."""
    remove(path)
    path.mkdir(mode=0o700)


def remove(path: Path) -> None:
    """Take away what lies at `path`, in a checked folder; of a link, the link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def open_lock(path: Path) -> int:
    """A descriptor of the file `path` for a lock, made where it is missing; Untrusted, OSError."""
    check(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def open_end(path: Path) -> int:
    """A descriptor for writing at the end of the file `path`, made 0600 where it is missing.

    Untrusted, OSError.
    """
    check(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def create(path: Path, mode: int = 0o666) -> int:
    """A descriptor of a new file at `path`, open for writing; one that was there is removed.

    What is neither file nor link (a terminal, a pipe) is opened as it is. Untrusted, OSError.
    """
    check(path)
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    if path.exists() and not path.is_file():
        return os.open(path, flags)
    path.unlink(missing_ok=True)
    return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)


def draft(path: Path, folder: Path | None = None) -> tuple[int, Path]:
    """A new file, 0600, under a name that nobody can guess, in `folder` or beside `path`."""
    check(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder or path.parent)
    return descriptor, Path(name)


@contextlib.contextmanager
def writing(path: Path, folder: Path | None = None, mode: int | None = None) -> Iterator[int]:
    """A draft that becomes `path` when the block ends well: whole, on the disk, by rename.

    Without a `mode` it gets the one that an ordinary file would have.
    """
    descriptor, made = draft(path, folder)
    try:
        os.fchmod(descriptor, 0o666 & ~_umask() if mode is None else mode)
        yield descriptor
        os.fsync(descriptor)
        made.rename(path)
        sync(path.parent)
    finally:
        os.close(descriptor)
        made.unlink(missing_ok=True)


def write_whole(
    path: Path, content: bytes, folder: Path | None = None, mode: int | None = None
) -> None:
    """Write a file that is there whole or not at all; drafted in `folder`, or beside it."""
    with (
        writing(path, folder, mode) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        file.write(content)


def sync(path: Path) -> None:
    """Bring a file or a folder to the disk (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid in _trusted():
        return
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = f"user {status.st_uid}"
    raise Untrusted(f"{path} belongs to {owner}", f"work as that user, or {ELSEWHERE}")


def _check_mode(folder: Path, status: os.stat_result) -> None:
    mode = status.st_mode
    others = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_alone_in(status.st_gid))
    if others and not mode & stat.S_ISVTX:
        hint = f"take that right away: chmod g-w,o-w {folder}; or {ELSEWHERE}"
        raise Untrusted(f"other users may change what is in {folder}", hint)


def _is_link(path: Path) -> Untrusted:
    return Untrusted(
        f"{path} is a link, to {path.readlink()}", "name the place itself, or remove the link"
    )


def _trusted() -> set[int]:
    """Who may own what we use: root (as this user namespace shows it), we, and whom sudo serves."""
    users = {os.geteuid(), 0, Path("/").stat().st_uid}
    caller = os.environ.get("SUDO_UID", "")
    return users | ({int(caller)} if os.geteuid() == 0 and caller.isdecimal() else set())


def _is_alone_in(gid: int) -> bool:
    """Whether a group is root's, or a trusted user's own with nobody else in it."""
    if gid == 0:
        return True
    try:
        group = grp.getgrgid(gid)
        names = {pwd.getpwuid(uid).pw_name for uid in _trusted()}
    except KeyError:
        return False
    return group.gr_name in names and set(group.gr_mem) <= names


def _umask() -> int:
    """The process's umask; it can only be read by setting it, or out of proc(5)."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        text = Path("/proc/self/status").read_text()
        return int(text.split("Umask:")[1].split()[0], 8)
    return 0o077
