"""On which line each key of a TOML document stands."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.build.recipe.fault import Fault, Place
from bakery.build.recipe.lines import DEPTH_LIMIT, WORD_LIMIT, lines

DOCUMENT = '''\
# a comment with [brackets] and = "quotes
name = "x"  # y = 1
"od d".'é' = 1.5e3
date = 1979-05-27 07:32:00

[kernel_args]
append = [ # [
  "a", """b
  "" # = c""""",

  { x = 1, y = [1,
     2] },
]
[[publish]]
as = "a\\"m"
[publish.properties]
a.b = "b"
[[publish]]
as = \'\'\'
 \\\'\'\'
[[publish.more]]
[[publish.more]]
z = true
[ a . "b" ]
'''


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Every place of what tomllib has read."""
    yield place
    inner = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else inner:
        yield from places(each, (*place, key))


def test_each_key_table_and_element_has_the_line_it_begins_on():
    found = lines(DOCUMENT)
    assert set(found) == set(places(tomllib.loads(DOCUMENT)))
    assert [found[place] for place in [("name",), ("od d", "é"), ("date",)]] == [2, 3, 4]
    args: Place = ("kernel_args", "append")
    assert [found[args], found[*args, 0], found[*args, 1], found[*args, 2]] == [7, 8, 8, 11]
    assert (found[*args, 2, "y"], found[*args, 2, "y", 1]) == (11, 12)
    assert (found["publish", 0], found["publish", 0, "properties", "a", "b"]) == (14, 17)
    assert (found["publish", 1], found["publish", 1, "as"]) == (18, 19)
    assert (found["publish", 1, "more", 1], found["publish", 1, "more", 1, "z"]) == (22, 23)
    assert (found["a",], found["a", "b"]) == (24, 24)


def test_lines_may_end_as_on_windows():
    assert lines("a = 1\r\n[b]\r\nc = 2\r\n")["b", "c"] == 3


@pytest.mark.parametrize(
    ("text", "line", "place"),
    [
        ("a = 1\na = 2\n", 2, ("a",)),
        ('a = 1\n\n"a" = 2\n', 3, ("a",)),
        ("[a]\nb = 1\n[a]\n", 3, ("a",)),
        ("a = {b = 1, b = 2}\n", 1, ("a", "b")),
        ("a.b = 1\na.b = 2", 2, ("a", "b")),
        ("[[a]]\nb = 1\n[[a]]\nb = 1\nb = 2\n", 5, ("a", 1, "b")),
    ],
)
def test_a_key_that_is_given_twice_is_named(text, line, place):
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    with pytest.raises(Fault, match="given twice, first on line") as raised:
        lines(text)
    assert (raised.value.line, raised.value.place) == (line, place)


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\na = " + "[" * 10_000,
        "x = 1\n" + "a = " + "{a = " * 10_000,
        "x = 1\n" + ".".join("a" * (DEPTH_LIMIT + 1)) + " = 1",
        "x = 1\n[" + ".".join("a" * 100_000) + "]",
        "x = 1\na = " + "9" * 5000,
        "x = 1\n" + "a" * (WORD_LIMIT + 1) + " = 1",
    ],
    ids=lambda text: text[6:16],
)
def test_what_tomllib_is_slow_with_or_fails_on_is_refused(text):
    with pytest.raises(Fault) as raised:
        lines(text)
    assert raised.value.line == 2


PIECES = [
    "a",
    "b",
    "a = 1\n",
    "[a]\n",
    "[[b]]\n",
    " = ",
    "1",
    "'x'",
    '"""y\n"""',
    "[",
    "]",
    "{",
    "}",
]


@given(st.lists(st.sampled_from([*PIECES, ".", ",", "\n", "# =\n", '"', "\\"])).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_and_what_is_toml_has_its_lines(text):
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        try:
            lines(text)
        except Fault as fault:
            assert fault.line >= 1
        return
    found = lines(text)
    assert set(found) == set(places(parsed))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


def test_the_longest_word_and_the_deepest_nesting_are_read():
    assert lines("a" * WORD_LIMIT + " = 1") == {(): 1, ("a" * WORD_LIMIT,): 1}
    assert lines("a = " + "9" * WORD_LIMIT)["a",] == 1
    deep = lines(".".join("a" * DEPTH_LIMIT) + " = 1")
    assert len(max(deep, key=len)) == DEPTH_LIMIT
    nested = lines("a = " + "[" * (DEPTH_LIMIT - 1) + "1" + "]" * (DEPTH_LIMIT - 1))
    assert len(max(nested, key=len)) == DEPTH_LIMIT
    for text in (".".join("a" * (DEPTH_LIMIT + 1)) + " = 1", "a = " + "[" * DEPTH_LIMIT + "1"):
        with pytest.raises(Fault, match=f"more than {DEPTH_LIMIT} "):
            lines(text)


def test_a_repeated_key_tells_where_it_was_first():
    with pytest.raises(Fault, match="given twice, first on line 2"):
        lines("\na = 1\n\na = 2")


@pytest.mark.parametrize(
    "rest",
    ["'''b''' = 2", r'"\x" = 2', "[b = 2", "b = ]", "= 2", "[[b]\nc = 1"],
)
def test_of_what_is_no_toml_the_lines_before_are_told(rest):
    found = lines(f"a = 1\n{rest}")
    assert found["a",] == 1
    assert not {("c",), ("b", "c")} & set(found)
    assert ("c",) not in lines("a = 1 b = 2\nc = 3")
