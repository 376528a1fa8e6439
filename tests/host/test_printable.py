"""Text that somebody else wrote, as it is printed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.printable import (
    LINE_CHARACTERS,
    printable,
    printable_json,
    printable_lines,
    shown,
)

ANY = st.text(st.characters(exclude_categories=()), max_size=200)
HOSTILE = {
    "\x1b]0;PWN\x07": r"\x1b]0;PWN\x07",
    "\x1b[31mred": r"\x1b[31mred",
    "two\nlines\r": r"two\nlines\r",
    "C1 \x9b31m": r"C1 \x9b31m",
    "evil\u202etxt\u2066": r"evil\u202etxt\u2066",
    "half \ud83d": r"half \ud83d",
    "zero\u200bwidth\0": r"zero\u200bwidth\x00",
    b"not \xff UTF-8 \x1b": r"not \xff UTF-8 \x1b",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_seen_instead(text):
    assert printable(text) == HOSTILE[text]


@pytest.mark.parametrize("text", ["", "Fedora Linux 42", r"C:\new", "Łódź … ✓ 日本", 'it\'s "it"'])
def test_plain_text_stays_as_it_is(text):
    assert printable(text) == printable(text.encode()) == printable_lines(text) == text


@given(ANY | st.binary(max_size=200))
def test_any_text_becomes_one_line_that_can_be_printed(text):
    for line in (printable(text), shown(text)):
        assert line.isprintable()
        line.encode()


@given(ANY)
def test_what_is_printable_is_not_escaped_again(text):
    assert printable(printable(text)) == printable(text)


@given(ANY)
def test_of_several_lines_the_breaks_and_tabs_stay(text):
    lines = printable_lines(text)
    assert lines.count("\n") == text.count("\n")
    assert lines.count("\t") == text.count("\t")
    assert lines.replace("\n", "").replace("\t", "").isprintable()


def test_a_long_text_is_cut_and_says_so():
    assert printable("x" * LINE_CHARACTERS) == "x" * LINE_CHARACTERS
    assert printable("x" * (LINE_CHARACTERS + 1)) == "x" * (LINE_CHARACTERS - 1) + "…"
    assert printable("abcdef", 4) == printable(b"abcdef", 4) == "abc…"
    assert shown("abcdef", 4) == shown(b"abcdef", 4) == "'abc…'"
    assert len(shown(list(range(1000)))) == 160


def test_of_several_lines_none_is_cut():
    long = "x" * (LINE_CHARACTERS + 1)
    assert printable_lines(f"{long}\n{long}") == f"{long}\n{long}"


def test_bytes_are_text_as_far_as_they_are():
    assert printable(b"a\xffb\xc3\xa4") == "a\\xffbä"
    assert printable(b"x" * 100, 10) == "x" * 9 + "…"
    assert printable("ä".encode() * 10, 10) == "ä" * 10
    assert printable("ä".encode() * 11, 10) == "ä" * 9 + "…"
    assert printable("\U0001f600".encode() * 10, 10) == "\U0001f600" * 10


def test_a_text_of_just_that_length_is_whole():
    assert printable("x" * LINE_CHARACTERS) == "x" * LINE_CHARACTERS
    assert len(printable("x" * (LINE_CHARACTERS + 1))) == LINE_CHARACTERS


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 10, repr("x" * 10)),
        ("x" * 11, repr("x" * 9 + "…")),
        (b"x" * 11, repr("x" * 9 + "…")),
        (b"a\xff", repr("a\\xff")),
        ("a\x1b", repr("a\x1b")),
        (12345678901, "123456789…"),
        ([1], "[1]"),
    ],
)
def test_a_value_is_shown_in_quotes_and_bounded(value, text):
    assert shown(value, 10) == text


def test_a_value_has_a_usual_bound():
    assert len(shown("x" * 1000)) == 162
    assert shown("x" * 160) == repr("x" * 160)
    assert shown("ä".encode() * 160) == repr("ä" * 160)


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=5))
def test_json_says_what_was_given_and_moves_no_cursor(value):
    for indent in (None, 2):
        text = printable_json(value, indent)
        assert json.loads(text) == value
        assert all(line.isprintable() for line in text.split("\n"))
