"""Numbers at the start of a text, as GRUB reads them."""

import pytest

from bakery.system.grub import numbers


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("12", 0, (12, "")),
        (" 12 x", 0, (12, " x")),
        ("0x1fg", 0, (31, "g")),
        ("0x1f", 10, (0, "x1f")),
        ("010", 0, (8, "")),
        ("010", 10, (10, "")),
        ("08", 0, (8, "")),
        ("0a12-5.14", 0, (0, "a12-5.14")),
        ("2nd", 0, (2, "nd")),
        ("x", 0, None),
        ("", 0, None),
        ("-1", 0, None),
        ("0x", 0, None),
        ("18446744073709551615", 0, ((1 << 64) - 1, "")),
        ("18446744073709551616", 0, None),
        ("9" * 10_000, 0, None),
        ("٣", 0, None),
    ],
)
def test_the_number_a_text_begins_with(
    text: str, base: int, expected: tuple[int, str] | None
) -> None:
    assert numbers.prefix(text, base) == expected


def test_signed_numbers_are_c_ints() -> None:
    assert [numbers.signed(text) for text in ("7", "-3", "x", "4294967295", "2147483648")] == [
        *(7, -3, 0, -1, -(1 << 31))
    ]


def test_a_number_that_overflows_is_there_and_of_no_use() -> None:
    assert numbers.is_missing("x")
    assert numbers.is_missing("0xg")
    assert not numbers.is_missing(" 7")
    assert not numbers.is_missing("9" * 100)
    assert numbers.unsigned("9" * 100) == 0
