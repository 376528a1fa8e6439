"""The tokens of GRUB's language, and what a word is made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system.grub import words
from bakery.system.grub.menu import File
from bakery.system.grub.source import Source, of_file
from bakery.system.grub.words import Kind, Lexer, Malformed, quote

HERE = File("hd0", "/grub.cfg")


def source(text: str) -> Source:
    return of_file(text.encode(), HERE)


def kinds(text: str) -> list[str]:
    """The kinds of all tokens, a word as it is written."""
    lexer = Lexer(source(text))
    found = []
    while (token := lexer.next()).kind:
        found.append(token.word.raw if token.kind == "word" and token.word else token.kind)
    return found


def pieces(text: str) -> list[tuple[Kind, str]]:
    word = Lexer(source(text)).next().word
    assert word is not None
    return [(piece.kind, piece.text) for piece in word.pieces]


def test_words_lie_where_the_text_has_them() -> None:
    lexer = Lexer(source("  linux /k 'a b' # rest\n"))
    found = [lexer.next().word for _ in range(3)]
    assert [(w.start, w.end, w.raw) for w in found if w] == [
        (2, 7, "linux"),
        (8, 10, "/k"),
        (11, 16, "'a b'"),
    ]


@pytest.mark.parametrize("sign", ["\n", ";", "&", "|", "<", ">", "{", "}", "&&", "||", ";;"])
def test_each_sign_is_a_token_that_ends_a_word(sign: str) -> None:
    assert kinds(f"a{sign}b\n") == ["a", sign, "b", "\n"]


def test_a_comment_begins_where_a_word_could_and_not_inside_one() -> None:
    assert kinds("a#b # c 'd\ne\n") == ["a#b", "\n", "e", "\n"]
    assert kinds("a \\#b\n") == ["a", "\\#b", "\n"]


def test_reserved_words_are_tokens_of_their_own_unless_they_are_quoted() -> None:
    assert kinds("if then 'fi' x=if [ [[ function\n") == [
        *("if", "then", "'fi'", "x=if", "[", "[[", "function", "\n")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [(Kind.BARE, "plain")]),
        ("'$a'", [(Kind.QUOTED, "$a")]),
        ("$a", [(Kind.VARIABLE, "a")]),
        ("${a}b", [(Kind.VARIABLE, "a"), (Kind.BARE, "b")]),
        ("$12x", [(Kind.VARIABLE, "12"), (Kind.BARE, "x")]),
        ("$?", [(Kind.VARIABLE, "?")]),
        ('"$a"', [(Kind.QUOTED, ""), (Kind.QUOTED_VARIABLE, "a"), (Kind.QUOTED, "")]),
        ('"a\\"b\\$c\\\\d\\e"', [(Kind.QUOTED, 'a"b$c\\d\\e')]),
        ('"a\\\nb"', [(Kind.QUOTED, "ab")]),
        ("a\\\nb", [(Kind.BARE, "ab")]),
        ("a\\ b", [(Kind.BARE, "a\\ b")]),
        ('$"a $b"', [(Kind.TRANSLATED, "a $b")]),
        ('a$"b"', [(Kind.TRANSLATED, "a"), (Kind.TRANSLATED, "b")]),
    ],
)
def test_a_word_falls_into_pieces(text: str, expected: list[tuple[Kind, str]]) -> None:
    assert pieces(text + "\n") == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a 'b\nc\n", "quote"),
        ('a "b', "quote"),
        ('$"b', "quote"),
        ("$", "a \\$"),
        ("$ a", "a \\$"),
        ("${a", "a \\$"),
        ("${}", "a \\$"),
        ('"a $ b"', "a \\$"),
        ("a\\", "backslash"),
        ("a \\\n", "backslash"),
    ],
)
def test_what_is_no_token_is_malformed(text: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        kinds(text)


def test_there_are_as_many_tokens_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "TOKEN_LIMIT", 6)
    assert kinds("a b # c\nd") == ["a", "b", "\n", "d", "\n"]
    with pytest.raises(BakeryError, match="more than 6 words"):
        kinds("a b c d e f\n")


@pytest.mark.parametrize("text", ["plain", "a b", "it's", "", "a=b,c:%+@~^-./_", "$x", '"', "\\"])
def test_a_quoted_text_is_one_word_that_means_itself(text: str) -> None:
    quoted = quote(text)
    assert (quoted == text) == (text in ("plain", "a=b,c:%+@~^-./_"))
    lexer = Lexer(source(quoted + "\n"))
    word = lexer.next().word
    assert word is not None
    assert lexer.next().kind == "\n"
    assert "".join(p.text.replace("\\'", "'") for p in word.pieces) == text


@given(st.text(st.sampled_from("a'\"\\$ \n#{};=${1}if")))
def test_any_text_is_tokens_or_malformed(text: str) -> None:
    try:
        found = kinds(text)
    except Malformed as error:
        assert 0 <= error.position <= len(text) + 1
        return
    assert all(found)
