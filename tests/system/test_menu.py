"""What `default` and `saved_entry` name in a menu."""

import pytest

from bakery.system import menu

NAMES = [("id-a", "Title A"), ("id-b", "Title B"), ("7", "id-a"), ("123456", "x"), ("", "")]


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("0", 0),
        ("4", 4),
        ("5", None),
        ("00001", 1),
        ("000001", None),
        ("id-b", 1),
        ("Title B", 1),
        ("id-a", 0),
        ("7", None),
        ("123456", 3),
        ("٣", None),
        ("-1", None),
        ("", None),
        ("other", None),
    ],
)
def test_an_entry_is_named_by_its_number_its_id_or_its_title(wanted: str, place: int | None):
    assert menu.index(NAMES, wanted) == place


def test_an_empty_menu_has_no_entry():
    assert menu.index([], "0") is None
    assert menu.index([], "x") is None
