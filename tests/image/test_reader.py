"""A session that is asked each question once."""

from typing import Any

import pytest

from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.engines.base import DirectoryEntry, FileMissing, Item
from bakery.image.reader import Reader
from tests.image.boot.machines import BOOT, ESP, machine

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


def test_on_a_fat_an_item_is_found_in_any_case_and_spelled_as_it_stands():
    asked = machine({ESP: {"EFI/Boot/a.EFI": "x", "efix": ""}, BOOT: {"EFI/a": ""}})
    assert asked.item(ESP, "/EFI/Boot/A.efi") == Item("a.EFI", False, 0)
    assert asked.spelled(ESP, "/efi/boot/A.efi") == "/EFI/Boot/a.EFI"
    assert asked.spelled(ESP, "/efi/none/b") == "/EFI/none/b"
    assert asked.spelled(ESP, "/") == "/"
    assert asked.item(BOOT, "/efi") is None
    assert asked.spelled(BOOT, "/efi/a") == "/efi/a"
    assert asked.item(BOOT, "/") == Item("", True, 0)
    assert asked.item(BOOT, "/EFI/none") is None


def test_any_range_of_a_file_or_the_disk_is_read_block_by_block(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bakery.image.reader.BLOCK_BYTES", 4)
    monkeypatch.setattr("bakery.image.reader.BLOCKS_KEPT", 2)
    data = bytes(range(30))
    asked = machine({BOOT: {"a": data}}, disk=data)
    for read_at in (asked.bytes_of(BOOT, "/a"), asked.disk()):
        for start in range(34):
            for length in range(12):
                assert read_at(start, length) == data[start : start + length]


def test_what_a_change_comes_to_is_told_beforehand():
    asked = machine({BOOT: {"a": "old", "b": "other"}})
    after = asked.with_texts({(BOOT.name, "/a"): b"new"})
    assert (after.text(BOOT, "/a"), after.text(BOOT, "/b")) == (b"new", b"other")
    assert (asked.text(BOOT, "/a"), after.notes) == (b"old", [])
