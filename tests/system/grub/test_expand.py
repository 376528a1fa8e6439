"""What words come to once variables and wildcards are filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import expansion
from bakery.system.grub import expand
from bakery.system.grub.expand import Scope
from bakery.system.grub.menu import File, Place
from bakery.system.grub.source import of_file
from bakery.system.grub.variables import Argument, Value, Variables
from bakery.system.grub.words import Lexer, Word, quote

PLACE = Place(File("hd0", "/g"), 3, 9)
VALUES = {
    "a": Value("one two", PLACE),
    "b": Value(""),
    "star": Value("/x*"),
    "back": Value("a\\*b"),
}


def words(text: str) -> list[Word]:
    lexer = Lexer(of_file(text.encode(), File("hd0", "/grub.cfg")))
    found = []
    while (token := lexer.next()).word is not None:
        found.append(token.word)
    return found


def arguments(text: str, scope: Scope = None, block: str | None = None) -> list[Argument]:
    known = Variables(dict(VALUES))
    return expand.arguments(
        words(text), known, scope, lambda p: ["/x1"] if p == "/x*" else None, block
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", ["plain"]),
        ("$a", ["one", "two"]),
        ("${a}x", ["one", "twox"]),
        ("x$a", ["xone", "two"]),
        ('"$a"', ["one two"]),
        ("'$a'", ["$a"]),
        (r"\$a", ["$a"]),
        (r'"\$a \" \\ \n"', [r"""$a " \ \n"""]),
        ("$b", []),
        ('"$b"', [""]),
        ("$none x", ["x"]),
        ("''", [""]),
        ("a'b'\"c\"d", ["abcd"]),
        ("a\\ b", ["a b"]),
        ("/x*", ["/x1"]),
        ("'/x*'", ["/x*"]),
        ("/x\\*", ["/x*"]),
        ("$star", ["/x1"]),
        ('"$star"', ["/x*"]),
        ("$back", ["a\\*b"]),
        ('"$back"', ["a\\*b"]),
        ('$"x ${a} \\$y"', ["x one two $y"]),
    ],
)
def test_a_word_is_what_grub_makes_of_it(text: str, expected: list[str]) -> None:
    assert [arg.text for arg in arguments(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$1", ["p", "q"]),
        ('"$1"', ["p q"]),
        ("$2 $3", ["r"]),
        ("$#", ["2"]),
        ("$@", ["p", "q", "r"]),
        ('x"$@"y', ["xp q", "ry"]),
        ('"$*"', ["p q r"]),
        ("${1}0", ["p", "q0"]),
        ('$"$#"', ["2"]),
        ("$99999999999", []),
    ],
)
def test_what_a_function_is_called_with(text: str, expected: list[str]) -> None:
    assert [a.text for a in arguments(text, [Argument("p q"), Argument("r")])] == expected
    assert [a.text for a in arguments("$1$#$@ x")] == ["x"]


def test_each_argument_knows_its_word_and_what_fed_it() -> None:
    found = arguments('x "$a" $a ${none}', block="b ")
    assert [(arg.text, arg.word) for arg in found] == [
        *(("x", 0), ("one two", 1), ("one", 2), ("two", 2), ("{b }", -1))
    ]
    assert [[(v.name, v.place) for v in arg.fed_by] for arg in found] == [
        *([], [("a", PLACE)], [("a", PLACE)], [("a", PLACE)], [])
    ]


def test_arguments_do_not_grow_without_end() -> None:
    half = "x" * (expansion.LIMIT_CHARACTERS // 2)
    known = Variables({"v": Value(half)})
    assert expand.arguments(words("$v"), known, None, lambda _: None)
    with pytest.raises(BakeryError, match="grow into a text of over"):
        expand.arguments(words("$v $v $v"), known, None, lambda _: None)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40))
def test_a_quoted_word_is_read_back_as_it_was(text: str) -> None:
    assert [arg.text for arg in arguments(quote(text))] == [text]
