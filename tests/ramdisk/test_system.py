"""A system in a folder, without the pains of installing one: busybox is all it has."""

import os
import shutil
from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.ramdisk import programs
from bakery.ramdisk.system import System, system_in

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) needs root")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with /bin → /usr/bin, as a link from the root, and busybox for its programs."""
    root = tmp_path / "tree"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("/usr/bin")
    busybox = shutil.which("busybox", path="/usr/bin:/bin")
    assert busybox
    shutil.copy(busybox, root / "usr/bin/busybox")
    for name in ("ldd", "readlink"):
        (root / "usr/bin" / name).symlink_to("/bin/busybox")
    return root


@needs_root
def test_links_are_followed_inside_the_system(tree):
    system = system_in(tree)
    (tree / "usr/bin/tool").symlink_to("/bin/there")
    (tree / "usr/bin/there").write_text("its own")
    assert system.place(Path("/bin/tool")) == tree / "usr/bin/there"


@needs_root
def test_its_programs_see_nothing_but_the_system(tree):
    listed = system_in(tree).run(["/usr/bin/busybox", "ls", "/"]).text.split()
    assert listed == ["bin", "usr"]


@needs_root
def test_a_program_is_taken_from_the_system(tree):
    system = system_in(tree)
    assert system.need("busybox") == Path("/usr/bin/busybox")
    taken = programs.with_libraries(system, [Path("/bin/busybox")])
    assert taken["usr/bin/busybox"].content == (tree / "usr/bin/busybox").read_bytes()


@needs_root
def test_a_program_that_is_missing_there_is_told_with_its_package(tree):
    with pytest.raises(BakeryError, match=r"'tgtd' is not installed in .*tree") as caught:
        system_in(tree).need("tgtd")
    assert "package tgt there" in caught.value.hint


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(BakeryError, match="not a folder with a system"):
        system_in(tmp_path / "none")


def test_who_is_not_root_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # a tree of root's cannot be entered otherwise
    with pytest.raises(BakeryError, match="only be looked into as root"):
        system_in(tmp_path)


def test_this_machine_is_a_system_too():
    system = system_in(Path("/"))
    assert system == System()
    assert system.need("busybox").name == "busybox"
