"""A TOML document held against the schema: unknown keys, wrong types, missing keys.

msgspec tells the first fault of a document, and where it is in a form for people. Here every fault
is found, with the place it has in the document, so that the first line can be told.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec import inspect

from bakery.build.recipe.fault import Place, dotted
from bakery.host.printable import shown


class Misfit(NamedTuple):
    """What does not fit the schema; `place` may be one the document does not have."""

    place: Place
    reason: str


def misfits(document: Mapping[str, object], schema: type[msgspec.Struct]) -> list[Misfit]:
    """Everything in `document`, as tomllib gives it, that `schema` has no room for."""
    kind = inspect.type_info(schema)
    assert isinstance(kind, inspect.StructType)
    return list(_table(document, kind, (), _Names(kind)))


class _Names:
    """All keys of the schema, to find the one that was meant."""

    def __init__(self, kind: inspect.StructType) -> None:
        self._all = list(_keys(kind, ()))

    def meant(self, place: Place, here: list[str]) -> str:
        """A hint, as the end of a sentence: the right name for the unknown key at `place`."""
        wrong = str(place[-1])[:64]
        close = difflib.get_close_matches(wrong.lower(), here, 1)
        if close:
            return f"; did you mean {close[0]!r}?"
        elsewhere = [dotted(keys) for keys in self._all if keys[-1] == wrong]
        if elsewhere:
            return f"; did you mean {elsewhere[0]!r}?"
        return f"; the keys here are {', '.join(here)}"


def _keys(kind: inspect.StructType, above: Place) -> Iterator[Place]:
    for field in kind.fields:
        yield (*above, field.encode_name)
        inner = _plain(field.type)
        if isinstance(inner, inspect.VarTupleType):
            inner = inner.item_type
        if isinstance(inner, inspect.StructType):
            yield from _keys(inner, (*above, field.encode_name))


def _plain(kind: inspect.Type) -> inspect.Type:
    """A type without the None that stands for a key left out; TOML has no null."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        (kind,) = (each for each in kind.types if not isinstance(each, inspect.NoneType))
    return kind


def _misfits(value: object, kind: inspect.Type, place: Place, names: _Names) -> Iterator[Misfit]:
    kind = _plain(kind)
    if isinstance(kind, inspect.StructType | inspect.DictType):
        if not isinstance(value, Mapping):
            yield Misfit(place, f"expected a table, not {_type_of(value)}")
        elif isinstance(kind, inspect.StructType):
            yield from _table(value, kind, place, names)
        else:
            for key, inner in value.items():
                yield from _misfits(inner, kind.value_type, (*place, key), names)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _array(value, kind, place, names)
    elif not _fits(value, kind):
        yield Misfit(place, f"expected {_wanted(kind)}, not {_told(value, kind)}")


def _table(
    value: Mapping[str, object], kind: inspect.StructType, place: Place, names: _Names
) -> Iterator[Misfit]:
    fields = {field.encode_name: field for field in kind.fields}
    for key, inner in value.items():
        if key in fields:
            yield from _misfits(inner, fields[key].type, (*place, key), names)
        else:
            meant = names.meant((*place, key), list(fields))
            yield Misfit((*place, key), f"no such key{meant}")
    for key, field in fields.items():
        if field.required and key not in value:
            yield Misfit((*place, key), "is missing")


def _array(
    value: object, kind: inspect.VarTupleType, place: Place, names: _Names
) -> Iterator[Misfit]:
    if isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _misfits(inner, kind.item_type, (*place, number), names)
    elif isinstance(_plain(kind.item_type), inspect.StructType):
        written = f"[[{dotted(place)}]]"
        yield Misfit(place, f"expected tables headed {written}, not {_type_of(value)}")
    else:
        yield Misfit(place, f"expected an array of strings, not {_type_of(value)}")


def _fits(value: object, kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.LiteralType):
        return isinstance(value, str) and value in kind.values
    if isinstance(kind, inspect.IntType):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and (kind.ge is None or value >= kind.ge)  # type: ignore[operator]
    return isinstance(value, {inspect.StrType: str, inspect.BoolType: bool}[type(kind)])


def _wanted(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType):
        words = [repr(word) for word in kind.values if word]
        return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    if isinstance(kind, inspect.IntType):
        return "a whole number" if kind.ge is None else f"a whole number from {kind.ge}"
    return {inspect.StrType: "a string", inspect.BoolType: "true or false"}[type(kind)]


def _told(value: object, kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType) and isinstance(value, str):
        words = [str(word) for word in kind.values]
        close = difflib.get_close_matches(value[:64], words, 1)
        return shown(value) + (f"; did you mean {close[0]!r}?" if close else "")
    if isinstance(kind, inspect.IntType) and type(value) is int:
        return str(value)
    return _type_of(value)


def _type_of(value: object) -> str:
    names = {
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number with a fraction",
        list: "an array",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")
