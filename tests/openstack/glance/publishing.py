"""Builds of the tiny image and their publication, for tests against the real services."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import msgspec

from bakery.disk import digest
from bakery.manifest import manifest
from bakery.manifest.manifest import Artifact, ArtifactName, Manifest
from tests import tiny
from tests.conftest import BAKERY
from tests.services.openstack import Project

MIB = 1 << 20
SHAPES = {
    "ami": (),
    "partition-qcow2": ("--as", "partition"),
    "partition-raw": ("--as", "partition", "--disk-format", "raw"),
    "partition-compressed": ("--as", "partition", "--compress"),
    "whole-disk": ("--as", "whole-disk"),
    "whole-disk-raw": ("--as", "whole-disk", "--disk-format", "raw"),
}


def build(folder: Path, *options: str, name: str = "tiny") -> Path:
    """A build of the tiny image in `folder`/NAME."""
    work = folder / f"image-{name}"
    work.mkdir()
    words: list[str | Path] = [
        BAKERY,
        "build",
        tiny.make(work, name=name),
        "-o",
        folder / name,
        "-q",
        *options,
    ]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return folder / name


def made(folder: Path, *, name: str = "made", data: int = 8 * MIB, size: int = 28 * MIB) -> Path:
    """A build folder as bakery leaves it; its base of `size` bytes holds `data` random ones."""
    folder.mkdir()
    (folder / f"{name}-kernel").write_bytes(b"kernel" * 100)
    (folder / f"{name}-ramdisk").write_bytes(b"ramdisk" * 100)
    tree = folder / "tree"
    tree.mkdir()
    dice = random.Random(name)
    with (tree / "data").open("wb") as file:
        for _ in range(data // MIB):
            file.write(dice.randbytes(MIB))
    base = folder / f"{name}-base"
    tiny.run("mkfs.ext4", "-q", "-F", "-d", tree, base, f"{size >> 10}k")
    shutil.rmtree(tree)
    write_manifest(folder, name)
    return folder


def write_manifest(folder: Path, name: str, **changes: object) -> Manifest:
    """The manifest of the three files `NAME-…` in `folder`, fields of it replaced by `changes`."""
    roles: tuple[ArtifactName, ...] = ("kernel", "ramdisk", "base")
    whole = Manifest(
        bakery_version="1",
        name=name,
        layout="pv",
        engine="direct",
        source=manifest.Source("source.qcow2", "qcow2", 1 << 30, "sha256:00"),
        partition=None,
        lvm=None,
        root_filesystem=None,
        deployment=None,
        kernel_args=("ro",),
        artifacts={role: artifact(folder / f"{name}-{role}") for role in roles},
        tools={},
        key="key",
    )
    told = msgspec.structs.replace(whole, **changes)
    (folder / (name + manifest.SUFFIX)).write_bytes(manifest.encode(told))
    return told


def artifact(path: Path) -> Artifact:
    """What a manifest says of a file."""
    found = digest.fingerprint(path)
    return Artifact(found.size_bytes, found.digest, "", found.extents)


def upload(cloud: Project, build: Path, *options: str) -> dict[str, str]:
    """Publish a build; the ids of its images by role."""
    done = subprocess.run(
        [BAKERY, "upload", build, "--json", *options],
        env=os.environ | cloud.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {image["role"]: image["id"] for image in json.loads(done.stdout)["images"]}


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a build by its name, without the work directory."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".bakery"}
