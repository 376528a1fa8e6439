"""A small ext4 disk, the tree it was made of, and a private folder to work in."""

import subprocess
from pathlib import Path

import pytest

MIB = 1 << 20
TEXT = b"UUID=1 /boot ext4 defaults 0 0\n"


def ext4(path: Path, tree: Path, size: int = 32 * MIB) -> Path:
    """An ext4 filesystem that fills a raw disk and holds the files of `tree`."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path], check=True)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "fstab").write_bytes(TEXT)
    return folder


@pytest.fixture
def disk(tree: Path, tmp_path: Path) -> Path:
    return ext4(tmp_path / "disk.raw", tree)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
