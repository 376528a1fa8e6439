"""A build's base as it travels: a file of frames, and its index."""

from pathlib import Path

from bakery.disk.digest import CHUNKED
from bakery.disk.packed import packed_index
from bakery.disk.packed.packed_index import Index
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build


def packed_base(build: Build) -> Path:
    """The file of its base's frames."""
    return build.directory / f"{build.manifest.name}-base.zst"


def base_index(build: Build) -> Index:
    """The index of a build's packed base; BakeryError where there is none, or another base's."""
    path = build.directory / f"{build.manifest.name}-base.index"
    if not path.exists():
        raise BakeryError(
            f"the build in {build.directory} has no packed base, which the direct method sends",
            "bakery build IMAGE --compress zstd adds it",
        )
    index = packed_index.read(path)
    record = build.manifest.artifacts["base"]
    # A base without holes has another kind of digest in the manifest.
    other = record.digest.startswith(CHUNKED) and record.digest != index.digest
    if index.size_bytes != record.size_bytes or other:
        raise BakeryError(f"{path} is the index of another base", "run bakery build again")
    return index
