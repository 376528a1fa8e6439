"""A file of Glance's own store, taken from the disk it lies on instead of over the network.

Glance's filesystem store names a file by its image's id. Where the store is on shared storage,
its operator describes it in `filesystem_store_metadata_file`, one JSON object or a list of them:

    {"id": "b9d69795-5951-4cb0-bb5c-29491e1e2daf", "mountpoint": "/var/lib/glance/images"}

and Glance shows that object as the metadata of each `file://` location (option
`show_multiple_locations`). OSSN-0065: that option lets every owner of an image see and change its
locations, so many clouds do not set it; then the user names the same JSON file instead.

How a file is taken, and what is safe in that:

- a reflink (ioctl FICLONE, ioctl_ficlone(2)) shares the blocks until one side is written: safe,
  and tried first;
- a hard link shares the file itself: whoever writes to the build writes into Glance's store. It
  is made only where the user asked for it;
- a copy otherwise, with its zeros left out.

What was taken is verified by the caller as if it had come over the network.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from bakery.disk.digest import Progress
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.openstack.glance.records import Image, Location
from bakery.openstack.glance.sparse import SparseFile

FICLONE = 0x40049409
"""_IOW(0x94, 9, int), linux/fs.h."""
METADATA_LIMIT_BYTES = 1 << 20
COPY_BYTES = 1 << 20
SUBFOLDERS = ("", "images")
"""Where below the mount point the store's folder is looked for when Glance does not tell."""
CANNOT = frozenset(
    {
        errno.EOPNOTSUPP,
        errno.EXDEV,
        errno.EINVAL,
        errno.ENOTTY,
        errno.EPERM,
        errno.EACCES,
        errno.EMLINK,
        errno.ENOENT,
    }
)

How = Literal["reflink", "link", "copy"]


class Store(msgspec.Struct, frozen=True):
    """A filesystem store: its id, and the absolute path where it is mounted on this machine."""

    id: str
    mountpoint: str


class NotHere(BakeryError):
    """The store's file cannot be used from here; the message says why. Fetch it instead."""


@dataclass(frozen=True)
class Held:
    """A file of the store, open for reading, of the size that Glance tells."""

    path: Path
    descriptor: int
    size_bytes: int


def stores(path: Path) -> tuple[Store, ...]:
    """The stores that a `filesystem_store_metadata_file` describes. Raises BakeryError."""
    try:
        with path.open("rb") as file:
            text = file.read(METADATA_LIMIT_BYTES + 1)
        if len(text) > METADATA_LIMIT_BYTES:
            raise BakeryError(f"{path} is not store metadata: larger than {METADATA_LIMIT_BYTES}")
        found = msgspec.json.decode(text, type=Store | tuple[Store, ...])
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BakeryError(
            f"{path} is not store metadata: {error}",
            'it holds {"id": …, "mountpoint": …} or a list of these, as Glance reads it',
        ) from error
    every = (found,) if isinstance(found, Store) else found
    for store in every:
        if not store.mountpoint.startswith("/") or "\0" in store.mountpoint:
            raise BakeryError(
                f"{path} names the mount point {store.mountpoint!r}, which is not an absolute path"
            )
    return every


def is_shown(image: Image, named: Sequence[Store]) -> bool:
    """Whether there is any word of where the image's file lies: then `held` is worth a try."""
    return bool(named) or any(_store_of(location) for location in image.locations)


@contextlib.contextmanager
def held(image: Image, named: Sequence[Store]) -> Iterator[Held]:
    """The image's file in a store that is mounted here, open as long as the block runs.

    `named` are the stores the user described; they also say where a store that Glance knows by
    the same id is mounted on this machine. Raises NotHere.
    """
    reasons: list[str] = []
    for mount, path in _candidates(image, named):
        try:
            descriptor = _opened(mount, path, image)
        except NotHere as reason:
            reasons.append(reason.message)
            continue
        try:
            yield Held(path, descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        return
    raise NotHere(reasons[0] if reasons else "no store that is mounted here is known to hold it")


def take(
    source: Held, destination: Path, *, link: bool = False, progress: Progress | None = None
) -> How:
    """Make `destination`, which is not there yet, of the store's file; says how it was done.

    `link` allows a hard link, which is then tried first. Raises OSError where the disk is full.
    """
    if link and _tried(lambda: _linked(source, destination)):
        return "link"
    with SparseFile(destination) as file:
        if _tried(lambda: _cloned(source, destination)):
            return "reflink"
        for piece in pieces(source):
            file.write(piece)
            if progress:
                progress(file.size_bytes, source.size_bytes)
        file.sync()
    return "copy"


def pieces(source: Held) -> Iterator[bytes]:
    """The bytes of the store's file; BakeryError where it becomes shorter meanwhile."""
    offset = 0
    while offset < source.size_bytes:
        piece = os.pread(source.descriptor, COPY_BYTES, offset)
        if not piece:
            raise BakeryError(f"{source.path} shrank while it was being read")
        yield piece[: source.size_bytes - offset]
        offset += len(piece)


def _candidates(image: Image, named: Sequence[Store]) -> Iterator[tuple[Path, Path]]:
    """Mount points and, below them, where the file may be. Nothing here is trusted yet."""
    mounts = {store.id: store.mountpoint for store in named}
    for location in image.locations:
        store = _store_of(location)
        if store is None or (named and store.id not in mounts):
            continue
        inside = PurePosixPath(unquote(urlsplit(location.url).path))
        with contextlib.suppress(ValueError):
            below = inside.relative_to(store.mountpoint)
            mount = Path(mounts.get(store.id, store.mountpoint))
            yield mount, mount / below
    for store in named:
        for folder in SUBFOLDERS:
            mount = Path(store.mountpoint)
            yield mount, mount / folder / image.id


def _store_of(location: Location) -> Store | None:
    """The store of a `file://` location, as its metadata describes it."""
    try:
        if urlsplit(location.url).scheme != "file":
            return None
        store = msgspec.convert(location.metadata, Store)
    except (msgspec.ValidationError, ValueError):
        return None
    return store if store.mountpoint.startswith("/") and "\0" not in store.mountpoint else None


def _opened(mount: Path, path: Path, image: Image) -> int:
    """A descriptor of the file, having seen that it can be the image's and nothing else."""
    if path.name != image.id:
        raise NotHere(f"its location is not named by its id: {shown(str(path))}")
    try:
        real = Path(os.path.realpath(path, strict=True))
        if not real.is_relative_to(os.path.realpath(mount)):
            raise NotHere(f"{shown(str(path))} leads out of {shown(str(mount))}")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(real, flags)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "no path of this machine"
        raise NotHere(f"{shown(str(path))} is not here: {why}") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size == image.size_bytes:
        return descriptor
    os.close(descriptor)
    raise NotHere(
        f"{shown(str(path))} is not the image: {found.st_size} bytes, not {image.size_bytes}"
    )


def _linked(source: Held, destination: Path) -> None:
    """Link the very file that is open, whatever its name leads to by now (linkat(2), proc(5))."""
    # With a folder given os.link calls linkat with AT_SYMLINK_FOLLOW; without one it calls link(2),
    # which does not follow, whatever `follow_symlinks` says.
    folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(source.descriptor), destination, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _cloned(source: Held, destination: Path) -> None:
    target = os.open(destination, os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(target, FICLONE, source.descriptor)
        os.fsync(target)
    finally:
        os.close(target)


def _tried(attempt: Callable[[], None]) -> bool:
    """Whether it worked; what the filesystem or the rules do not allow is no failure."""
    try:
        attempt()
    except OSError as error:
        if error.errno in CANNOT:
            return False
        raise
    return True
