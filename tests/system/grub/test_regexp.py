"""POSIX regular expressions, against the C library's own where there is one to ask."""

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import regexp


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("b+", "abbbc", ("bbb",)),
        ("^(.*),(.*)$", "hd0,gpt2", ("hd0,gpt2", "hd0", "gpt2")),
        ("^\\((.*)\\)", "(hd0,gpt2)/boot", ("(hd0,gpt2)", "hd0,gpt2")),
        ("x|xy|xyz", "wxyz", ("xyz",)),
        ("(a)|b", "b", ("b", None)),
        ("a{2,3}", "aaaa", ("aaa",)),
        ("a{2}", "aaaa", ("aa",)),
        ("a{,1}b", "aab", ("ab",)),
        ("[[:digit:]]+", "x42y", ("42",)),
        ("[^0-9-]+", "1-2a", ("a",)),
        ("[]a]+", "x]a", ("]a",)),
        ("(ab?)*", "abaab", ("abaab", "ab")),
        ("a\\.b", "a.b", ("a.b",)),
        ("^$", "", ("",)),
        ("()", "x", ("", "")),
        ("x", "y", None),
        ("(", "(", None),
        ("a)", "a)", ("a)",)),
        ("*a", "a", None),
        ("[a", "a", None),
    ],
)
def test_a_match_is_the_earliest_and_longest(
    pattern: str, text: str, expected: tuple[str | None, ...] | None
) -> None:
    assert regexp.match(pattern, text) == expected


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+b", "a*a*a*a*a*a*b", "(.*)(.*)(.*)(.*)x"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    start = time.monotonic()
    try:
        assert regexp.match(pattern, "a" * 2000) is None
    except BakeryError as error:
        assert "pattern" in error.message
    assert time.monotonic() - start < 5


def test_a_pattern_and_a_text_are_bounded() -> None:
    for pattern, text in (("a" * 257, ""), ("a", "b" * 5000)):
        with pytest.raises(BakeryError, match="out of all proportion"):
            regexp.match(pattern, text)


PATTERNS = st.text(st.sampled_from("ab.*+?|()[]^$-"), max_size=8)


@settings(max_examples=300)
@given(PATTERNS, st.text(st.sampled_from("ab-"), max_size=8))
def test_any_pattern_matches_or_not(pattern: str, text: str) -> None:
    try:
        found = regexp.match(pattern, text)
    except BakeryError:
        return
    assert found is None or (found[0] or "") in text


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["a", "b", ".", "[ab]", "(a)", "(b|ab)", "a*", "b?", "^", "$", "(ab)+"]),
        max_size=5,
    )
)
def test_sed_finds_the_same(parts: list[str]) -> None:
    pattern, text = "".join(parts), "abbaab"
    command = ["sed", "-En", f"s/{pattern or '()'}/<&>/p"]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    found = regexp.match(pattern, text)
    expected = None if not done.stdout else done.stdout.partition("<")[2].partition(">")[0]
    assert (found and found[0]) == expected
