"""A system in a folder, without the pains of installing one: busybox is all it has."""

import os
import shutil
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed
from bakery.node.ramdisk import programs
from bakery.node.ramdisk.system import System, system_in

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
    with pytest.raises(BakeryError, match="only be read as root"):
        system_in(tmp_path)


def test_this_machine_is_a_system_too():
    system = system_in(Path("/"))
    assert system == System()
    assert system.need("busybox").name == "busybox"


def test_a_path_of_this_machine_is_where_it_is(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert System().place(tmp_path / "link") == tmp_path / "link"
    assert System().inside(tmp_path) == tmp_path
    assert System().scratch is None


def test_a_file_in_a_system_has_another_name_inside(tmp_path):
    system = System(tmp_path)
    assert system.inside(tmp_path / "usr/bin/tool") == Path("/usr/bin/tool")
    assert system.scratch == tmp_path / "tmp"


def test_a_program_counts_where_it_can_be_run_and_lies_inside(tree, tmp_path):
    system = System(tree)
    (tree / "usr/bin/text").write_text("no program")
    (tmp_path / "outside").write_text("")
    (tmp_path / "outside").chmod(0o755)
    (tree / "usr/bin/out").symlink_to(tmp_path / "outside")
    for name in ("text", "out"):
        with pytest.raises(BakeryError, match=f"'{name}' is not installed in") as caught:
            system.need(name)
        assert caught.value.hint == f"install Debian's package {name} there"
    assert system.need("busybox") == Path("/usr/bin/busybox")


def test_what_fails_in_a_system_is_told_by_the_programs_own_name():
    with pytest.raises(CommandFailed, match=r"^sh failed with exit code 3"):
        System().run(["/bin/sh", "-c", "exit 3"])
    done = System().run(["/bin/sh", "-c", "echo $A; exit 3"], env={"A": "b"}, check=False)
    assert (done.returncode, done.text) == (3, "b\n")
