"""What a node's disk is to hold: pieces, each a file that goes to a place on it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from bakery.disk import digest, extents
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build


class Piece(msgspec.Struct, frozen=True):
    """A file for byte `offset` of the disk.

    `data` are the file's extents; the rest of its `size_bytes` is to read as zeros. `digest` as
    `bakery.disk.digest` writes it; `name` is for messages.
    """

    name: str
    path: Path
    offset: int
    size_bytes: int
    digest: str
    data: tuple[Extent, ...]

    @property
    def end(self) -> int:
        """The first byte of the disk behind the piece."""
        return self.offset + self.size_bytes


def base_piece(build: Build, offset: int) -> Piece:
    """The base of a build for byte `offset`, as its manifest describes it.

    BakeryError where the manifest's extents cannot be true of it.
    """
    record = build.manifest.artifacts["base"]
    size = build.base.stat().st_size
    if size != record.size_bytes:
        raise BakeryError(
            f"{build.base.name} has {size} bytes, but its manifest says {record.size_bytes}",
            "run bakery build again",
        )
    data = extents.merged(record.extents) or (Extent(0, size),)
    if any(extent.offset < 0 or extent.end > size for extent in data):
        raise BakeryError(
            f"the manifest of {build.base.name} lists data beyond its end", "run bakery build again"
        )
    return Piece("base", build.base, offset, size, record.digest, data)


def file_piece(name: str, path: Path, offset: int) -> Piece:
    """A file of ours for byte `offset`; it is read once, for its digest."""
    found = digest.fingerprint(path)
    return Piece(name, path, offset, found.size_bytes, found.digest, found.extents)


def fitting(pieces: Iterable[Piece], disk_bytes: int) -> tuple[Piece, ...]:
    """The pieces in the order of the disk; BakeryError where it is too small for them."""
    ordered = tuple(sorted(pieces, key=lambda piece: piece.offset))
    _apart(ordered)
    needed = ordered[-1].end if ordered else 0
    if needed > disk_bytes:
        raise BakeryError(
            f"the node's disk has {disk_bytes} bytes, but {needed} are needed",
            "choose another disk with root device hints, or a smaller image",
        )
    return ordered


def _apart(ordered: Sequence[Piece]) -> None:
    for one, other in pairwise(ordered):
        if one.end > other.offset:
            raise BakeryError(f"{one.name} and {other.name} would overlap")
