"""Paths that match a pattern of GRUB's."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system.grub import wildcards
from tests.system.grub.worlds import Disks

DISK = Disks({"hd0": dict.fromkeys(("/b/k-1", "/b/k-2", "/b/k*", "/c/x/k-1", "/c/y/z"), b"")})


def matching(pattern: str) -> list[str] | None:
    def place(path: str) -> str:
        return path.removeprefix("(hd0)")

    return wildcards.matching(
        pattern,
        lambda folder: DISK.names("hd0", place(folder)),
        lambda path: DISK.is_file("hd0", place(path)) or DISK.is_directory("hd0", place(path)),
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/b/k-?", ["/b/k-1", "/b/k-2"]),
        ("(hd0)/b/k-*", ["(hd0)/b/k-1", "(hd0)/b/k-2"]),
        ("/*/k-1", ["/b/k-1"]),
        ("/c/*/k-1", ["/c/x/k-1"]),
        ("/?/*/?-1", ["/c/x/k-1"]),
        ("/b/k\\*", None),
        ("/b/k[12]*", None),
        ("/none/*", None),
        ("/b/plain", None),
        ("k-*", None),
        ("/b/*\\*", ["/b/k*"]),
        ("/c/*/", ["/c/x/", "/c/y/"]),
    ],
)
def test_stars_and_question_marks_stand_for_parts_of_names(
    pattern: str, expected: list[str] | None
) -> None:
    assert matching(pattern) == expected


@pytest.mark.parametrize("pattern", ["(*)/x", "(hd?)/b/k", "*"])
def test_which_devices_there_are_is_not_known(pattern: str) -> None:
    with pytest.raises(BakeryError, match="all devices that match"):
        matching(pattern)


def test_patterns_are_bounded() -> None:
    with pytest.raises(BakeryError, match="more than 4 stars"):
        matching("/b/*a*a*a*a*a")
