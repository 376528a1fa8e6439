"""Words, commands and blocks of a grub.cfg, and the bounds on them."""

import pytest
from bakery.system.grub_script import Word, parse, quote, walk

from bakery.host.errors import BakeryError
from bakery.system import grub_script

VALUES = {"a": "one two", "b": "", "ü": "ignored"}


def names(text: bytes) -> list[tuple[str, int]]:
    """Every command's first word, with the number of words behind it."""
    return [(command.name, len(command.words)) for command in walk(parse(text))]


def test_words_lie_where_the_text_has_them():
    text = b"  linux /k \xc3\xbc 'a b' # rest\n"
    (command,) = parse(text)
    places = [(word.start, word.end) for word in command.words]
    assert places == [(2, 7), (8, 10), (11, 13), (14, 19)]
    assert text[14:19] == b"'a b'"
    assert command.words[2].value({}) == "ü"
    assert command.block is None


@pytest.mark.parametrize("end", [b"\n", b";", b"&", b"|", b"<", b">"])
def test_a_command_ends_at_each_of_these(end: bytes):
    assert names(b"a b" + end + b"c" + end) == [("a", 2), ("c", 1)]
    assert names(end * 3) == []


def test_keywords_in_front_are_skipped_and_nowhere_else():
    assert names(b"then a\nelse b then\ndo\nif c\n") == [("a", 1), ("b", 2), ("if", 2)]


def test_blocks_belong_to_the_command_before_them():
    first, second = parse(b"menuentry x { a\n b { c }\n}\nd\n")
    assert first.block is not None
    assert [command.name for command in first.block] == ["a", "b"]
    assert [command.name for command in walk([first, second])] == ["menuentry", "a", "b", "c", "d"]
    (bare,) = parse(b"{ x }")
    assert (bare.name, bare.words) == ("", ())
    assert bare.block is not None


def test_a_line_may_go_on_behind_a_backslash():
    assert names(b"a \\\n b \\\r\n c\n") == [("a", 3)]
    assert Word(0, "a\\\nb").value({}) == "ab"


@pytest.mark.parametrize(
    ("raw", "value", "values"),
    [
        ("plain", "plain", ["plain"]),
        ("$a", "one two", ["one", "two"]),
        ("${a}x", "one twox", ["one", "twox"]),
        ('"$a"', "one two", ["one two"]),
        ('"${a}"', "one two", ["one two"]),
        ("'$a'", "$a", ["$a"]),
        (r"\$a", "$a", ["$a"]),
        (r'"\$a \" \\ \n"', r"""$a " \ \n""", [r"""$a " \ \n"""]),
        ("$b", "", []),
        ('"$b"', "", [""]),
        ("$none", "", []),
        ("x$", "x", ["x"]),
        ('"x$"', "x$", ["x$"]),
        ('"a\\\nb"', "ab", ["ab"]),
        ("a'b'\"c\"d", "abcd", ["abcd"]),
    ],
)
def test_a_word_is_what_grub_makes_of_it(raw: str, value: str, values: list[str]):
    assert Word(0, raw).value(VALUES) == value
    assert Word(0, raw).values(VALUES) == values


@pytest.mark.parametrize(
    ("raw", "depends"),
    [("x", False), ("'$a'", False), ("$a", True), ('"${a}"', True), (r"\$a", False), ("x$", False)],
)
def test_whether_a_word_depends_on_a_variable(raw: str, depends: bool):
    assert Word(0, raw).has_variable == depends


def test_a_variable_may_hold_what_latin_1_does_not():
    assert Word(0, "$a").value({"a": "☃"}) == "☃"


@pytest.mark.parametrize(
    "text", ["plain", "a b", "it's", "", "ü", "a=b,c:%+@~^-./_", "$x", '"', "\\"]
)
def test_a_quoted_text_is_read_back_as_it_was(text: str):
    quoted = quote(text)
    assert (quoted == text) == (text in ("plain", "a=b,c:%+@~^-./_"))
    (command,) = parse(b"x " + quoted.encode())
    assert command.words[1].value({}) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a 'b", "unmatched quote at byte 2"),
        (b'a\n"b', "unmatched quote at byte 2"),
        (b"a { b", "a } is missing"),
        (b"a }", "one } too many at byte 2"),
        (b"a { } }", "one } too many at byte 6"),
    ],
)
def test_what_does_not_add_up_is_told_with_its_place(text: bytes, words: str):
    with pytest.raises(BakeryError, match=words):
        parse(text)


def test_a_script_is_as_long_as_the_bounds_allow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grub_script, "SIZE_LIMIT_BYTES", 10)
    assert names(b"a" * 10) == [("a" * 10, 1)]
    with pytest.raises(BakeryError, match="holds 11 bytes, more than 10"):
        parse(b"a" * 11)
    monkeypatch.undo()
    monkeypatch.setattr(grub_script, "TOKEN_LIMIT", 4)
    assert names(b"a b # c\n d ") == [("a", 2), ("d", 1)]
    with pytest.raises(BakeryError, match="more than 4 words and lines"):
        parse(b"a b\n c d")


def test_blocks_are_as_deep_as_the_bound_allows():
    depth = grub_script.DEPTH_LIMIT - 1
    assert len(names(b"a { " * depth + b"}" * depth)) == depth
    with pytest.raises(BakeryError, match="nests blocks deeper"):
        parse(b"a { " * (depth + 1) + b"}" * (depth + 1))
