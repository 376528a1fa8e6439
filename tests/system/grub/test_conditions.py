"""`[ … ]` in GRUB's scripts."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system.grub import conditions


class _Files:
    def is_file(self, path: str) -> bool:
        return path in ("/file", "/empty")

    def is_directory(self, path: str) -> bool:
        return path in ("/folder", "/")

    def size(self, path: str) -> int | None:
        return {"/file": 3, "/empty": 0}.get(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = a", True),
        ("a == b", False),
        ("a != b", True),
        ("a < b", True),
        ("b <= a", False),
        ("b > a", True),
        ("10 >= 9", False),
        ("10 -gt 9", True),
        ("0x10 -eq 16", True),
        ("-1 -lt 0", True),
        ("x -eq 0", True),
        ("1 -ne 1", False),
        ("2 -le 2", True),
        ("2 -ge 3", False),
        ("vmlinuz-2 -plt vmlinuz-11", True),
        ("vmlinuz-2 -pgt vmlinuz-11", False),
        ("12 -plt 13", True),
        ("-f /file", True),
        ("-f /folder", False),
        ("-d /folder", True),
        ("-e /folder", True),
        ("-e /none", False),
        ("-s /file", True),
        ("-s /empty", False),
        ("-s /none", False),
        ("-n x", True),
        ("-z x", False),
        ("x", True),
        ("", True),
        ("]", True),
        ("! -f /none", True),
        ("! ! x", True),
        ("-f /none -o -f /file", True),
        ("-f /file -a -f /none", False),
        ("-f /file -f /none", False),
        ("-f /none -a x -o x", True),
        ("( -f /none -o x ) -a ( x )", True),
        ("! ( x )", False),
        ("-f", True),
        ("-f /file ]", True),
        ("= = =", True),
    ],
)
def test_a_condition_holds_as_in_grub(text: str, expected: bool) -> None:
    assert conditions.holds(text.split(), _Files()) is expected


def test_empty_words_count() -> None:
    assert conditions.holds(["-n", ""], _Files()) is False
    assert conditions.holds(["-z", ""], _Files()) is True
    assert conditions.holds(["", "=", ""], _Files()) is True
    assert conditions.holds(["", "]"], _Files()) is False


def test_the_age_of_files_is_no_ground_for_a_decision() -> None:
    with pytest.raises(BakeryError, match="compares the ages of /a and /b"):
        conditions.holds(["/a", "-nt", "/b"], _Files())


def test_conditions_are_as_deep_as_the_bound_allows() -> None:
    depth = conditions.DEPTH_LIMIT
    assert conditions.holds(["("] * depth + ["x"] + [")"] * depth, _Files())
    with pytest.raises(BakeryError, match="deeper than"):
        conditions.holds(["("] * (depth + 1) + ["x"], _Files())
