import shutil
import subprocess

import pytest

from bakery.samples.commits import (
    CPIO_BLOCK,
    EMPTY_CPIO,
    MOVED,
    RELEASES,
    commit_releases,
    padded,
)
from tests.samples import little


def test_archives_are_padded_to_whole_blocks():
    assert padded(b"") == b""
    assert padded(b"x") == b"x" + bytes(CPIO_BLOCK - 1)
    assert len(padded(b"x" * CPIO_BLOCK)) == CPIO_BLOCK


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_the_empty_archive_is_one_that_cpio_takes():
    listed = subprocess.run(
        ["cpio", "--list", "--quiet"], input=padded(EMPTY_CPIO), capture_output=True, check=True
    )
    assert listed.stdout == b""


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A layer with the commits of a little tree."""
    root = tmp_path_factory.mktemp("layer")
    little.fill(root)
    commit_releases(root)
    return root


def ostree(layer, *words):
    argv = ["ostree", f"--repo={layer}/repo", *words]
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout


def test_each_release_is_a_branch_that_tells_its_version(layer):
    assert set(ostree(layer, "refs").decode().split()) == set(RELEASES)
    for release in RELEASES:
        assert ostree(layer, "cat", release, "/usr/etc/sample-release").decode() == f"{release}\n"
        told = ostree(layer, "show", "--print-metadata-key=version", release)
        assert told.decode().strip() == f"'{release}'"


def test_the_kernel_lies_where_ostree_looks_and_the_second_initramfs_is_another(layer):
    modules = f"/usr/lib/modules/{little.KERNEL_VERSION}"
    first, second = RELEASES
    for release in RELEASES:
        assert ostree(layer, "cat", release, f"{modules}/vmlinuz") == little.KERNEL
    assert ostree(layer, "cat", first, f"{modules}/initramfs.img") == little.INITRD
    upgraded = padded(little.INITRD) + padded(EMPTY_CPIO)
    assert ostree(layer, "cat", second, f"{modules}/initramfs.img") == upgraded


def test_what_is_state_is_no_part_of_a_commit(layer):
    rows = [line.split() for line in ostree(layer, "ls", "-R", RELEASES[1]).decode().splitlines()]
    paths = {row[4]: row[0][0] for row in rows}
    links = {row[4]: row[6] for row in rows if row[0][0] == "l"}
    assert links == {f"/{name}": target for name, target in MOVED.items()}
    assert "/etc" not in paths
    assert paths["/usr/etc"] == "d"
    for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "var"):
        assert paths[f"/{name}"] == "d"
        assert not [path for path in paths if path.startswith(f"/{name}/")]
    state = ostree(layer, "cat", RELEASES[0], "/usr/lib/tmpfiles.d/ostree-state.conf")
    assert b"d /var/roothome 0700 root root -\n" in state


def test_the_tree_is_taken_apart_on_the_way(layer):
    assert sorted(path.name for path in layer.iterdir()) == ["repo"]
