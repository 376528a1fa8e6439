import os
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.tree import Asker, Forbidden, Tree


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\nb", "a b", "ä", "a" * 256, "a\0"]
)
def test_only_plain_relative_names_can_be_served(name):
    with pytest.raises(BakeryError, match="cannot be the name"):
        Tree().put(name, b"")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/",
        "a/.",
        "a/../a",
        "../a",
        "A",
        "",
        "/",
        ".",
        "b",
        "\\a",
    ],
)
def test_what_is_not_listed_is_not_there(name):
    tree = Tree()
    tree.put("a", b"x")
    assert tree.open(name) is None


@pytest.mark.parametrize("name", ["/a/b", "//a/b", "a//b", "./a/b", "/.//a/././b"])
def test_parts_of_a_name_that_say_nothing_are_overlooked(name):
    tree = Tree()
    tree.put("a/b", b"bytes")
    opened = tree.open(name)
    assert opened and (opened.file.read(), opened.size_bytes) == (b"bytes", 5)


def test_a_tag_names_the_bytes(tmp_path):
    tree = Tree()
    tree.put("text", b"one")
    first = tree.open("text")
    tree.put("text", b"two")
    second = tree.open("text")
    assert first and second and first.tag != second.tag
    assert first.file.read() == b"one"


def test_a_replaced_file_has_another_tag(tmp_path):
    tree = Tree()
    tree.put("file", tmp_path / "file")
    tags = set()
    for content in ("one", "two"):
        (tmp_path / "new").write_text(content)
        (tmp_path / "new").replace(tmp_path / "file")
        opened = tree.open("file")
        assert opened and opened.file.read() == content.encode()
        opened.file.close()
        tags.add(opened.tag)
    assert len(tags) == 2


def test_a_folder_or_a_missing_file_cannot_be_read(tmp_path):
    tree = Tree()
    tree.put("folder", tmp_path)
    tree.put("missing", tmp_path / "missing")
    for name in tree.names():
        with pytest.raises(OSError):
            tree.open(name)


def test_what_is_no_file_is_not_left_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    keeper = os.open(tmp_path / "pipe", os.O_RDWR)  # or an open would wait
    tree = Tree()
    tree.put("pipe", tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="is not a regular file"):
        tree.open("pipe")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(keeper)


def test_names_are_as_long_as_boot_programs_take_them():
    tree = Tree()
    tree.put("a" * 255, b"")
    tree.put("a.b/c..d/_:-", b"")
    with pytest.raises(BakeryError) as refused:
        tree.put("a" * 256, b"")
    assert "at most 255 characters" in refused.value.hint


def test_a_files_size_is_its_own(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    tree = Tree()
    tree.put("file", tmp_path / "file")
    opened = tree.open("file")
    assert opened and opened.size_bytes == 5
    opened.file.close()


def test_names_come_and_go():
    tree = Tree()
    for name in ("node/kernel", "node/ramdisk", "nodes", "token"):
        tree.put(name, b"")
    tree.remove_below("node")
    tree.remove("token")
    tree.remove("never-there")
    assert tree.names() == ["nodes"]


def test_a_guard_says_who_may_have_a_file():
    tree = Tree()
    tree.put("a", b"x", lambda asker: "" if asker == Asker("192.0.2.7", "s") else "not yours")
    opened = tree.open("a", Asker("192.0.2.7", "s"))
    assert opened and opened.file.read() == b"x"
    for asker in (Asker("192.0.2.7"), Asker("192.0.2.9", "s"), Asker("")):
        with pytest.raises(Forbidden, match="not yours"):
            tree.open("a", asker)
    with pytest.raises(Forbidden):
        tree.open("a")
