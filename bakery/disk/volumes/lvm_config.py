"""The text in which LVM2 keeps its metadata: sections, and keys with integers, strings, arrays.

The grammar is that of lvm.conf(5), as vgcfgbackup(8) writes it:

    name { key = 1   other = "text"   list = [ "a", 2 ]   inner { } }   # comment

Read strictly: bounded length and depth, no key twice, nothing left over.
"""

import re
from collections.abc import Iterator

from bakery.host.errors import BakeryError

TEXT_LIMIT_BYTES = 4 << 20
DEPTH_LIMIT = 8
SHOWN_CHARACTERS = 20

Scalar = int | str
Section = dict[str, "Value"]
Value = Scalar | list[Scalar] | Section

_TOKEN = re.compile(
    r"""[ \t\r\n]+ | \#[^\n]*
    | "(?P<string>(?:[^"\\]|\\.)*)"
    | (?P<word>[A-Za-z0-9_+.-]+)
    | (?P<mark>[{}\[\],=])""",
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"-?[0-9]{1,19}\Z")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(text: bytes) -> Section:
    """The text as nested dictionaries; BakeryError says at which character it stops making sense.

    Bytes that are not UTF-8 (they can only stand in comments and free strings) become U+FFFD.
    """
    if len(text) > TEXT_LIMIT_BYTES:
        raise BakeryError(f"LVM metadata longer than {TEXT_LIMIT_BYTES} bytes")
    return _Reader(text.decode("utf-8", "replace")).sections()


def sections(body: Section, key: str) -> Iterator[tuple[str, Section]]:
    """The named sections inside the section `key`, none where it is not there."""
    inner = body.get(key, {})
    if not isinstance(inner, dict):
        raise _misfit(key)
    for name, value in inner.items():
        if not isinstance(value, dict):
            raise _misfit(key)
        yield name, value


def integer(section: Section, key: str) -> int:
    """A number that is not negative; BakeryError where there is none."""
    value: Value | None = section.get(key)
    if not isinstance(value, int) or value < 0:
        raise _misfit(key)
    return value


def string(section: Section, key: str) -> str:
    """A text; BakeryError where there is none."""
    value: Value | None = section.get(key)
    if not isinstance(value, str):
        raise _misfit(key)
    return value


def _misfit(key: str) -> BakeryError:
    return BakeryError(f"its metadata has no proper {key!r}")


class _Reader:
    """Goes through the tokens once, with the open sections on a stack."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.open: list[Section] = [{}]

    def sections(self) -> Section:
        for kind, token, at in self.tokens:
            if (kind, token) == ("mark", "}") and len(self.open) > 1:
                self.open.pop()
            elif kind == "word":
                self._entry(token, at)
            else:
                raise _nonsense(token, at)
        if len(self.open) > 1:
            raise BakeryError("LVM metadata ends inside a section")
        return self.open[0]

    def _entry(self, name: str, at: int) -> None:
        if name in self.open[-1]:
            raise BakeryError(f"LVM metadata has {name!r} twice in one section")
        kind, token, after = self._next()
        if (kind, token) == ("mark", "{") and len(self.open) < DEPTH_LIMIT:
            inner: Section = {}
            self.open[-1][name] = inner
            self.open.append(inner)
        elif (kind, token) == ("mark", "="):
            self.open[-1][name] = self._value()
        else:
            raise _nonsense(token, after if kind else at)

    def _value(self) -> Value:
        kind, token, at = self._next()
        if (kind, token) != ("mark", "["):
            return _scalar(kind, token, at)
        items: list[Scalar] = []
        kind, token, at = self._next()
        while (kind, token) != ("mark", "]"):
            items.append(_scalar(kind, token, at))
            kind, token, at = self._next()
            if (kind, token) == ("mark", ","):
                kind, token, at = self._next()
            elif (kind, token) != ("mark", "]"):
                raise _nonsense(token, at)
        return items

    def _next(self) -> tuple[str, str, int]:
        token = next(self.tokens, None)
        if token is None:
            raise BakeryError("LVM metadata ends in the middle of an entry")
        return token


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(`string`, `word` or `mark`; its text; its place in characters), blanks left out."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _nonsense(text[at : at + SHOWN_CHARACTERS], at)
        if match.lastgroup:
            yield match.lastgroup, match[match.lastgroup], at
        at = match.end()


def _scalar(kind: str, token: str, at: int) -> Scalar:
    if kind == "string":
        return _ESCAPE.sub(r"\1", token)
    if kind == "word" and _INTEGER.match(token):
        return int(token)
    raise _nonsense(token, at)


def _nonsense(token: str, at: int) -> BakeryError:
    return BakeryError(
        f"LVM metadata makes no sense at character {at}: {token[:SHOWN_CHARACTERS]!r}"
    )
