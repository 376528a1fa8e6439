import pytest

from bakery.errors import BakeryError
from bakery.serve.tree import Tree


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a\nb", "a b", "ä", "a" * 256, "a\0"]
)
def test_only_plain_relative_names_can_be_served(name):
    with pytest.raises(BakeryError, match="cannot be the name"):
        Tree().put(name, b"")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "//a", "a/", "a/../a", "A", "", "/", "b"]
)
def test_what_is_not_listed_is_not_there(name):
    tree = Tree()
    tree.put("a", b"x")
    assert tree.open(name) is None


def test_a_slash_in_front_is_overlooked():
    tree = Tree()
    tree.put("a/b", b"bytes")
    opened = tree.open("/a/b")
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


def test_names_come_and_go():
    tree = Tree()
    for name in ("node/kernel", "node/ramdisk", "nodes", "token"):
        tree.put(name, b"")
    tree.remove_below("node")
    tree.remove("token")
    tree.remove("never-there")
    assert tree.names() == ["nodes"]
