"""A session that is asked each question once."""

from typing import Any

import pytest

from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.engines.base import DirectoryEntry, FileMissing, Item
from bakery.image.reader import Reader

ONE, TWO = Volume("/dev/sda1", 1, ()), Volume("/dev/sda2", 1, ())
TREE = {
    "/": [Item("etc", True, 0), Item("a", False, 5)],
    "/etc": [Item("b", False, 7), Item("deep", True, 0)],
    "/etc/deep": [Item("c", False, 11)],
}


class Asked:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def survey(self) -> Survey:
        return Survey(0, None, (), (ONE, TWO))

    def items(self, volume: Volume, path: str) -> list[Item]:
        self.asked.append(("items", volume.device, path))
        if path not in TREE:
            raise FileMissing(path)
        return TREE[path]

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        self.asked.append(("names", volume.device, path))
        if path not in TREE or volume is TWO:
            raise FileMissing(path)
        return [DirectoryEntry(item.name, item.is_directory) for item in TREE[path]]

    def read_file(self, volume: Volume, path: str) -> bytes:
        if path != "/a":
            raise FileMissing(path)
        return b"12345"


@pytest.fixture
def engine() -> Any:
    return Asked()


def test_a_directory_is_listed_once_for_each_volume_and_kind_of_question(engine: Any):
    reader = Reader(engine)
    for _ in range(2):
        assert reader.names(ONE, "") == reader.names(ONE, "/") == {"etc", "a"}
        assert reader.directory(TWO, "/") == ()
        assert reader.items(ONE, "/etc") == tuple(TREE["/etc"])
        assert reader.items(ONE, "/none") == ()
    assert engine.asked == [
        ("names", "/dev/sda1", "/"),
        ("names", "/dev/sda2", "/"),
        ("items", "/dev/sda1", "/etc"),
        ("items", "/dev/sda1", "/none"),
    ]


def test_a_name_is_there_where_its_directory_has_it(engine: Any):
    reader = Reader(engine)
    assert reader.exists(ONE, "/a")
    assert reader.exists(ONE, "/etc/")
    assert reader.exists(ONE, "/etc/deep/c")
    assert not reader.exists(ONE, "/b")
    assert not reader.exists(ONE, "/none/a")
    assert not reader.exists(TWO, "/a")


def test_a_text_is_none_where_there_is_no_file(engine: Any):
    assert Reader(engine).text(ONE, "/a") == b"12345"
    assert Reader(engine).text(ONE, "/none") is None


def test_all_that_lies_below_a_directory_counts(engine: Any):
    reader = Reader(engine)
    assert reader.size_bytes(ONE, "") == 5 + 7 + 11
    assert reader.size_bytes(ONE, "/etc") == 18
    assert reader.size_bytes(ONE, "/none") == 0
