"""Which line of a menu `default` and `fallback` name."""

import pytest

from bakery.system.grub import choice

LINES = [("id-a", "Title A"), ("0a12-5.14", "Two words"), ("2", "2nd"), ("x>y", "id-a"), ("", "")]


@pytest.mark.parametrize(
    ("value", "gnu", "fedora"),
    [
        (None, 0, 0),
        ("", 4, 4),
        ("1", 1, 1),
        ("5", 0, 0),
        ("0x3", 3, 3),
        (" 2", 2, 2),
        ("-1", 0, 0),
        ("99999999999999999999", 0, 0),
        ("4294967297", 1, 1),
        ("Title A", 0, 0),
        ("Two words", 1, 1),
        ("id-a", 0, 0),
        ("0a12-5.14", 0, 1),
        ("2nd", 2, 2),
        ("3rd", 3, 0),
        ("1 2", 1, 0),
        ("none", 0, 0),
        ("1>2", 1, 1),
        ("Two words>x", 1, 1),
        ("x>>y", 3, 3),
        ("x>>y>z", 3, 3),
        ("x>y", 0, 0),
        ("Two words>", 1, 1),
        ("٣", 0, 0),
    ],
)
def test_the_default_is_named_by_number_id_or_title(
    value: str | None, gnu: int, fedora: int
) -> None:
    assert choice.default(value, LINES, ids_first=False) == gnu
    assert choice.default(value, LINES, ids_first=True) == fedora


@pytest.mark.parametrize(
    ("value", "gnu", "fedora"),
    [
        (None, [], []),
        ("", [], []),
        ("1", [1], [1]),
        ("1 2  0", [1, 2, 0], [1, 2, 0]),
        ("1 x 2", [1], [1]),
        ("99 1", [], []),
        ("id-a 1", [], [0, 1]),
        ("0 0 0 0 0 0 0 0 0 0", [0] * 5, [0] * 5),
    ],
)
def test_fallbacks_are_numbers_and_for_fedora_names(
    value: str | None, gnu: list[int], fedora: list[int]
) -> None:
    assert choice.fallbacks(value, LINES, ids_first=False) == gnu
    assert choice.fallbacks(value, LINES, ids_first=True) == fedora


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("a", None),
        ("a>b", "b"),
        ("a>b>c", "b>c"),
        ("a>>b", None),
        ("a>>b>c", "c"),
        ("a>", None),
    ],
)
def test_what_is_left_for_the_submenu(value: str | None, expected: str | None) -> None:
    assert choice.inside(value) == expected
