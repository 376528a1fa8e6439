"""A finished build with a small base, as `bakery build` leaves it; the bytes are made up."""

import os
from pathlib import Path
from typing import get_args

from bakery.disk import digest
from bakery.disk.packed import packed_index
from bakery.disk.packed.packing import pack_file
from bakery.manifest.manifest import (
    Artifact,
    ArtifactName,
    Build,
    Manifest,
    RootFilesystem,
    Source,
    encode,
    load,
)

MIB = 1 << 20
ROOT_UUID = "2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11"
BASE_BYTES = 40 * MIB


def build(folder: Path, layout="pv") -> Build:
    """40 MiB of base, of which 2 MiB and some are data."""
    folder.mkdir()
    base = folder / "sample-base"
    with base.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(9 * MIB + 4096)
        file.write(os.urandom(5000))
        file.seek(BASE_BYTES - MIB)
        file.write(os.urandom(MIB))
    artifacts: dict[ArtifactName, Artifact] = {}
    for name in get_args(ArtifactName):
        path = folder / f"sample-{name}"
        if name != "base":
            path.write_bytes(name.encode() * 100)
        found = digest.fingerprint(path)
        artifacts[name] = Artifact(found.size_bytes, found.digest, extents=found.extents)
    manifest = Manifest(
        bakery_version="0",
        name="sample",
        layout=layout,
        engine="direct",
        source=Source("sample.qcow2", "qcow2", BASE_BYTES, "sha256:0"),
        partition=None,
        lvm=None,
        root_filesystem=RootFilesystem("xfs", ROOT_UUID),
        deployment=None,
        kernel_args=("root=/dev/mapper/atomicos-root", "console=ttyS0"),
        artifacts=artifacts,
        tools={},
        key="k1",
    )
    (folder / "sample.manifest.json").write_bytes(encode(manifest))
    return load(folder)


def with_packed_base(made: Build) -> Build:
    """As `bakery build --compress zstd` leaves it."""
    place = made.directory / f"{made.manifest.name}-base"
    with place.with_suffix(".zst").open("wb") as file:
        index, _ = pack_file(made.base, file)
    place.with_suffix(".index").write_bytes(packed_index.encode(index))
    return made
