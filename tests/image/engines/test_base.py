"""What both engines share: which takings hold others, and what a volume is called in a tar."""

import pytest

from bakery.disk.volumes.volumes import Volume
from bakery.image.engines.base import Taking, outermost, tar_name

ONE, TWO = Volume("/dev/sda1", 1, (), uuid="11-22"), Volume("/dev/sda2", 1, ())


def paths(*takings: tuple[str, str]) -> list[str]:
    return [t.path for t in outermost(Taking(ONE, path, action) for path, action in takings)]  # type: ignore[arg-type]


def test_what_lies_in_a_folder_that_is_removed_goes_with_it():
    assert paths(("/a/b", "empty"), ("/a", "remove"), ("/a/c/d", "remove"), ("/ab", "remove")) == [
        "/a",
        "/ab",
    ]
    assert paths(("/a-b", "remove"), ("/a/b", "remove"), ("/a", "remove")) == ["/a-b", "/a"]


def test_a_folder_that_is_only_emptied_holds_nothing_else():
    assert paths(("/a", "empty"), ("/a/b", "remove"), ("/a/b/c", "blank")) == ["/a", "/a/b"]


def test_a_volume_holds_what_is_its_own():
    takings = [Taking(TWO, "/a/b", "remove"), Taking(ONE, "/a", "remove")]
    assert outermost(takings) == takings[::-1]
    assert outermost([]) == []


@pytest.mark.parametrize(
    ("volume", "name"),
    [
        (ONE, "11-22"),
        (TWO, "dev-sda2"),
        (Volume("/dev/vg/root", 1, ()), "dev-vg-root"),
    ],
)
def test_a_volume_goes_by_its_uuid_or_its_device(volume: Volume, name: str):
    assert tar_name(volume) == name
