"""The line on which each key of a TOML document stands.

Python's tomllib tells no lines of what it has read, and tomlkit keeps none either. So the text is
read once more here, for its shape alone (https://toml.io/en/v1.0.0): where keys, tables and the
elements of arrays begin. What a value is, and whether the text is right at all, remains tomllib's
word; where it is not, this stops without a complaint. Two things are refused here, because
tomllib is slow or fails on them: nesting beyond DEPTH_LIMIT, and words beyond WORD_LIMIT.
"""

import contextlib
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

from bakery.build.recipe.fault import Fault, Place

DEPTH_LIMIT = 16
WORD_LIMIT = 255
"""Of a bare key, a number or a date: nothing that is right comes near it."""

_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5}
               | \"(?:\\.|[^\"\\\n])*\" | '[^'\n]*')
    | (?P<word>[^\s\#"'=\[\]{},.]+)
    | (?P<mark>[=\[\]{},.])
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_END = _Token("end", "", 0)


class _NotToml(Exception):
    """The text is not what TOML wants at this place."""


def lines(text: str) -> dict[Place, int]:
    """For each table, key and array element of `text` the line it begins on, from 1.

    Of a text that is no TOML, those before the first error. Raises Fault for a key that is given
    twice, for nesting that is too deep, and for a word that is too long.
    """
    reader = _Reader(text)
    with contextlib.suppress(_NotToml):  # tomllib says what is wrong, and where
        reader.document()
    return reader.lines


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {(): 1}
        self._given: set[Place] = set()
        self._lengths: dict[Place, int] = {}  # of arrays of tables, so far
        self._tokens = _tokens(text)
        self._next = next(self._tokens, _END)

    def document(self) -> None:
        table: Place = ()
        while self._skip_newlines().kind != "end":
            if self._next.text == "[":
                table = self._header()
            else:
                self._pair(table)
            if self._next.kind not in ("newline", "end"):
                raise _NotToml

    def _header(self) -> Place:
        line = self._take("[").line
        in_array = self._next.text == "["
        if in_array:
            self._take("[")
        keys = self._keys()
        for _ in range(1 + in_array):
            self._take("]")
        *above, last = keys
        place = (*self._stand(self._within((), tuple(above)), line), last)
        if in_array:
            self.lines.setdefault(place, line)
            self._lengths[place] = self._lengths.get(place, 0) + 1
            place = (*place, self._lengths[place] - 1)
        return self._give(place, line)

    def _pair(self, table: Place) -> None:
        line = self._next.line
        *above, last = self._keys()
        place = (*self._stand((*table, *above), line), last)
        self._give(place, line)
        self._take("=")
        self._value(place)

    def _keys(self) -> tuple[str, ...]:
        line = self._next.line
        keys = [self._key()]
        while self._next.text == ".":
            self._take(".")
            keys.append(self._key())
            if len(keys) > DEPTH_LIMIT:
                raise Fault(line, (), f"a key of more than {DEPTH_LIMIT} parts")
        return tuple(keys)

    def _key(self) -> str:
        token = self._advance()
        if token.kind == "word":
            return token.text
        if token.kind != "string" or token.text.startswith(('"""', "'''")):
            raise _NotToml
        try:
            return str(tomllib.loads(f"key = {token.text}")["key"])
        except tomllib.TOMLDecodeError as error:
            raise _NotToml from error

    def _value(self, place: Place) -> None:
        if len(place) > DEPTH_LIMIT:
            raise Fault(self._next.line, (), f"more than {DEPTH_LIMIT} values within each other")
        if self._next.text == "[":
            self._array(place)
        elif self._next.text == "{":
            self._inline_table(place)
        else:
            token = self._advance()
            if token.kind not in ("word", "string"):
                raise _NotToml
            while self._next.kind == "word" or self._next.text == ".":  # 1.5, or a date and a time
                self._advance()

    def _array(self, place: Place) -> None:
        self._take("[")
        number = 0
        while self._skip_newlines().text != "]":
            self.lines[*place, number] = self._next.line
            self._value((*place, number))
            number += 1
            if self._skip_newlines().text != "]":
                self._take(",")
        self._take("]")

    def _inline_table(self, place: Place) -> None:
        self._take("{")
        while self._next.text != "}":
            self._pair(place)
            if self._next.text != "}":
                self._take(",")
        self._take("}")

    def _within(self, table: Place, keys: tuple[str, ...]) -> Place:
        """The place of a header's keys: an array of tables means its latest table."""
        for key in keys:
            table = (*table, key)
            if table in self._lengths:
                table = (*table, self._lengths[table] - 1)
        return table

    def _stand(self, place: Place, line: int) -> Place:
        """Tables that a dotted key makes on the way begin where it stands."""
        for end in range(1, len(place) + 1):
            self.lines.setdefault(place[:end], line)
        return place

    def _give(self, place: Place, line: int) -> Place:
        if place in self._given:
            raise Fault(line, place, f"given twice, first on line {self.lines[place]}")
        self._given.add(place)
        self.lines[place] = line
        return place

    def _skip_newlines(self) -> _Token:
        while self._next.kind == "newline":
            self._advance()
        return self._next

    def _take(self, mark: str) -> _Token:
        token = self._advance()
        if token.kind != "mark" or token.text != mark:
            raise _NotToml
        return token

    def _advance(self) -> _Token:
        token, self._next = self._next, next(self._tokens, _END)
        return token


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of TOML, up to the first text that is none; blanks and comments are left out."""
    line, at = 1, 0
    while found := _TOKEN.match(text, at):
        token = _Token(found.lastgroup or "", found.group(), line)
        if token.kind == "word" and len(token.text) > WORD_LIMIT:
            raise Fault(line, (), f"a word of {len(token.text)} characters")
        if token.kind != "blank":
            yield token
        line += token.text.count("\n")
        at = found.end()
