"""A document against a schema that has a field of each type there is."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from bakery.build.recipe.shape import misfits


class Inner(msgspec.Struct, frozen=True):
    needed: str
    width: Annotated[int, Meta(ge=2)] = 2


class Schema(msgspec.Struct, frozen=True):
    text: str = ""
    flag: bool = False
    count: int = 0
    least: Annotated[int, Meta(ge=2)] | None = None
    kind: Literal["", "one", "two", "three"] = ""
    only: Literal["zstd"] | None = None
    words: tuple[str, ...] = ()
    table: Inner | None = None
    tables: tuple[Inner, ...] = ()
    free: dict[str, str] = {}
    renamed: str = msgspec.field(name="as", default="")


GOOD = {
    "text": "a",
    "flag": True,
    "count": -1,
    "least": 2,
    "kind": "two",
    "only": "zstd",
    "words": ["a"],
    "table": {"needed": "b", "width": 3},
    "tables": [{"needed": "c"}],
    "free": {"any": "d"},
    "as": "e",
}


def told(document):
    return list(map(tuple, misfits(document, Schema)))


def test_what_fits_is_no_misfit():
    assert told(GOOD) == []
    assert told({}) == []
    assert msgspec.convert(GOOD, Schema).table == Inner("b", 3)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("text", 1, "expected a string, not a number"),
        ("text", None, "expected a string, not a date or time"),
        ("flag", 1, "expected true or false, not a number"),
        ("count", True, "expected a whole number, not true or false"),
        ("count", 1.0, "expected a whole number, not a number with a fraction"),
        ("count", dt.date(2026, 1, 1), "expected a whole number, not a date or time"),
        ("least", 1, "expected a whole number from 2, not 1"),
        ("kind", "thre", "expected 'one', 'three' or 'two', not 'thre'; did you mean 'three'?"),
        ("kind", "zzz", "expected 'one', 'three' or 'two', not 'zzz'"),
        ("kind", 2, "expected 'one', 'three' or 'two', not a number"),
        ("only", "gzip", "expected 'zstd', not 'gzip'"),
        ("words", "a", "expected an array of strings, not a string"),
        ("table", "a", "expected a table, not a string"),
        ("tables", {}, "expected tables headed [[tables]], not a table"),
        ("free", ["a"], "expected a table, not an array"),
    ],
)
def test_a_value_of_another_type_is_told(key, value, reason):
    assert told({key: value}) == [((key,), reason)]


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        ({"words": ["a", 1]}, ("words", 1), "expected a string, not a number"),
        ({"free": {"a": 1}}, ("free", "a"), "expected a string, not a number"),
        ({"tables": [{"needed": ""}, "a"]}, ("tables", 1), "expected a table, not a string"),
        ({"table": {}}, ("table", "needed"), "is missing"),
        ({"txt": 1}, ("txt",), "no such key; did you mean 'text'?"),
        ({"width": 1}, ("width",), "no such key; did you mean 'table.width'?"),
        ({"needed": 1}, ("needed",), "no such key; did you mean 'table.needed'?"),
        ({"renamed": 1}, ("renamed",), "no such key; the keys here are text, flag, count, least, "),
        (
            {"tables": [{"needed": "", "zzz": 1}]},
            ("tables", 0, "zzz"),
            "no such key; the keys here are needed, width",
        ),
    ],
)
def test_what_is_wrong_within_has_its_place(document, place, reason):
    ((found, why),) = told(document)
    assert (found, why[: len(reason)]) == (place, reason)


def test_all_misfits_are_told_and_a_missing_key_behind_them():
    assert [place for place, _ in told({"text": 1, "zzz": 2, "table": {"x": 1}})] == [
        ("text",),
        ("zzz",),
        ("table", "x"),
        ("table", "needed"),
    ]
