"""GRUB's names for files."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system.grub import File, files
from bakery.system.grub.files import Disk, Files, tidied
from bakery.system.grub.variables import Value, Variables
from tests.system.grub.worlds import Disks

WORLD = Disks({"hd0": {"/a/b": b"xyz", "/é": b""}, "hd1": {"/c": b""}})


def on(root: str | None) -> Files:
    values = {} if root is None else {"root": Value(root)}
    return Files(Disk(WORLD), Variables(values))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/a/b", File("hd0", "/a/b")),
        ("(hd1)/c", File("hd1", "/c")),
        ("(hd1)//x/./y/../c", File("hd1", "/x/c")),
        ("(hd1)/", File("hd1", "/")),
        ("/../..", File("hd0", "/")),
        ("a/b", None),
        ("(hd1)c", None),
        ("(hd1", None),
        ("()/c", None),
        ("", None),
        ("/" + "x" * 5000, None),
    ],
)
def test_a_name_is_a_device_and_a_path(name: str, expected: File | None) -> None:
    assert on("hd0").named(name) == expected


def test_without_a_root_only_names_with_a_device_are_files() -> None:
    for files_ in (on(None), on("")):
        assert files_.named("/a/b") is None
        assert files_.named("(hd0)/a/b") == File("hd0", "/a/b")


def test_conditions_take_names_from_the_top() -> None:
    disk = on("hd0")
    assert disk.is_file("a/b")
    assert disk.is_file("(hd0)a/b")
    assert disk.is_directory("/a/")
    assert disk.is_directory("")
    assert disk.is_directory("(hd1)")
    assert not disk.is_directory("(hd9)")
    assert (disk.size("/a/b"), disk.size("/none")) == (3, None)
    assert disk.names("/a") == ("b",)
    assert disk.names("/none") is None


def test_names_are_bytes_inside_and_text_outside() -> None:
    disk = on("hd0")
    assert disk.names("/") == ("a", "Ã©")
    assert disk.is_file("/Ã©")


def test_a_run_reads_each_file_once_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ_LIMIT_BYTES", 7)
    disk = Disk(Disks({"hd0": {"/a": b"1234", "/b": b"5678"}}))
    for _ in range(5):
        assert disk.read(File("hd0", "/a")) == b"1234"
    with pytest.raises(BakeryError, match="out of all proportion"):
        disk.read(File("hd0", "/b"))


def test_paths_are_tidied() -> None:
    assert [tidied(p) for p in ("//a//b/", "/", "a", "")] == ["/a/b", "/", "", ""]
