import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.system.efi_pattern import matches


# After systemd's own tests of the function (src/boot/test-efi-string.c, efi_fnmatch).
@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("", "", True),
        ("abc", "abc", True),
        ("aBc", "abc", False),
        ("b", "a", False),
        ("b", "", False),
        ("abc", "a", False),
        ("a?c", "azc", True),
        ("???", "?.9", True),
        ("1?", "1", False),
        ("***", "", True),
        ("*", "123", True),
        ("**", "abcd", True),
        ("*b*", "abcd", True),
        ("abc*d", "abc", False),
        ("start*end", "startend", True),
        ("start*end", "startendend", True),
        ("start*end", "startenddne", False),
        ("start*end", "startendstartend", True),
        ("sta*end", "sta", False),
        ("*.conf", "arch.conf", True),
        ("*.conf", "arch-conf", False),
        ("*.conf*", "arch.conf.d", True),
        ("*-*.*", "a-b.c", True),
        ("a*b*a", "aba", True),
        ("a*a", "a", False),
        ("[abc]", "b", True),
        ("[abc]", "z", False),
        ("[abc", "a", False),
        ("[][!] [][!] [][!]", "[ ] !", True),
        ("[]-]", "-", True),
        ("[1-3]", "2", True),
        ("[1-3]", "4", False),
        ("[a-c-f]", "e", False),
        ("[a-c-f]", "-", True),
        ("[-a]", "-", True),
        ("[a-]", "-", True),
        ("[a-\\c]", "b", True),
        ("[\\]]", "]", True),
        (r"\*\a\[", "*a[", True),
        ("\\", "\\", False),
        (r"\\", "\\", True),
        ("a*[", "ab", False),
        ("8f3c*-6.1*.conf", "8f3c-6.1.0-25-amd64.conf", True),
    ],
)
def test_a_pattern_matches_as_systemd_boot_has_it(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) is does


def test_many_stars_take_no_more_time_than_both_lengths_multiplied() -> None:
    started = time.process_time()
    assert not matches("*a" * 400 + "b", "a" * 1000)
    assert time.process_time() - started < 2


@given(st.text("a*?[]-\\b", max_size=8), st.text("ab*[-]\\", max_size=8))
def test_any_pattern_ends_and_stars_only_widen(pattern: str, name: str) -> None:
    if matches(pattern, name) and "[" not in pattern and "\\" not in pattern:
        assert matches("*" + pattern + "*", "x" + name + "y")


@given(st.text(max_size=20))
def test_a_name_matches_itself_once_its_signs_are_taken_off(name: str) -> None:
    assert matches("".join("\\" + char for char in name), name)
