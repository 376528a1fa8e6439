import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.system.versions import sort_key, uapi_key

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


# systemd's own cases (man systemd-analyze, compare-versions; src/test/test-string-util.c), oldest
# first: each is older than every one behind it.
UAPI_RISING = [
    "~", "", "ab", "abb", "abc", "0001", "002", "12", "122", "122.9", "123~rc1", "123", "123-a",
    "123-a.1", "123-a1", "123-a1-1", "123-3", "123-3.1", "123^patch1", "123^1", "123.a-1",
    "123.1-1", "123a-1", "124",
]  # fmt: skip


def test_versions_of_uapi_10_rise_as_systemd_sorts_them():
    falling = UAPI_RISING[::-1]
    assert sorted(falling, key=uapi_key) == UAPI_RISING
    assert len({uapi_key(version) for version in UAPI_RISING}) == len(UAPI_RISING)


@pytest.mark.parametrize(
    ("one", "two"), [("12_3", "12+3"), ("123_a", "123a"), ("007", "7"), ("", "_"), ("a.", "a._")]
)
def test_versions_of_uapi_10_that_say_the_same_are_equal(one, two):
    assert uapi_key(one) == uapi_key(two)


@given(st.text("09aZ~^-._", max_size=9), st.text("09aZ~^-._", max_size=9))
def test_keys_of_uapi_10_can_always_be_compared(one, two):
    assert (uapi_key(one) < uapi_key(two)) + (uapi_key(two) < uapi_key(one)) <= 1
    assert uapi_key("a" + one + "a~") < uapi_key("a" + one + "a") < uapi_key("a" + one + "ab")
