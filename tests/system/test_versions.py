import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.system.versions import sort_key

# rpm's own cases (tests/rpmvercmp.at).
RISING = [
    ("1.0", "2.0"),
    ("2.0", "2.0.1"),
    ("2.0.1", "2.0.1a"),
    ("5.5p1", "5.5p2"),
    ("5.5p1", "5.5p10"),
    ("10xyz", "10.1xyz"),
    ("xyz", "8"),
    ("xyz.4", "8"),
    ("4.999.9", "5.0"),
    ("20101121", "20101122"),
    ("1.0~rc1", "1.0"),
    ("1.0~rc1", "1.0~rc2"),
    ("1.0", "1.0^"),
    ("1.0^", "1.0^git1"),
    ("1.0^git1", "1.01"),
    ("1.0^20160101", "1.0.1"),
    ("1.0~rc1", "1.0~rc1^git1"),
    ("1.0^git1~pre", "1.0^git1"),
    ("", "0"),
]


@pytest.mark.parametrize(("older", "newer"), RISING)
def test_the_newer_version_sorts_higher(older, newer):
    assert sort_key(older) < sort_key(newer)


@pytest.mark.parametrize(
    ("one", "two"), [("1.0", "1_0"), ("1.0", "1.00"), ("2_0", "2..0"), ("", "é")]
)
def test_separators_and_leading_zeros_make_no_difference(one, two):
    assert sort_key(one) == sort_key(two)


@given(st.text(max_size=50))
def test_any_text_has_a_place(text):
    assert sort_key(text) == sort_key(text + ".")


def test_endless_digits_take_no_time():
    assert sort_key("9" * 100_000) > sort_key("9" * 99_999)
