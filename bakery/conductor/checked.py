"""A build's files as nodes may have them: found to be what the manifest says, then never others.

The folder may be a stranger's. Each digest is checked before the first byte is served; a file that
is another one afterwards is served no more.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from bakery.conductor.packed_base import base_index, packed_base
from bakery.disk import digest
from bakery.disk.packed.packed_index import Index
from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal, opened, seal
from bakery.manifest.manifest import Build

SealOf = Callable[[Path], Seal]


def checked(build: Build, *, direct: bool) -> SealOf:
    """The seals of a build's files, the base as it is or, with `direct`, packed.

    Raises BakeryError where one is a link or a special file, or not what its digest says.
    """
    index = base_index(build) if direct else None  # it says what is lacking
    seals = {}
    for name, record in build.manifest.artifacts.items():
        path = build.directory / build.manifest.file(name)
        if not (direct and name == "base"):
            seals[path] = seal(path)
            if not digest.matches(path, record.digest):
                raise _changed(path)
    if index:
        path = packed_base(build)
        seals[path] = seal(path)
        _check_frames(path, index)
    for kept in seals.values():
        kept.open().close()  # the same file that was hashed
    return lambda path: seals.get(path) or seal(path)


def _check_frames(path: Path, index: Index) -> None:
    with opened(path) as file:
        for chunk in index.chunks:
            file.seek(chunk.offset)
            frame = file.read(chunk.length)
            if hashlib.new("sha512_256", frame).hexdigest() != chunk.frame_digest:
                raise _changed(path)


def _changed(path: Path) -> BakeryError:
    return BakeryError(
        f"{path.name} is not what its manifest says: it has changed since it was made",
        "run bakery build again",
    )
