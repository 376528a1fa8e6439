"""The tokens of GRUB's language, and the pieces of a word (grub-core/script/yylex.l)."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from bakery.host.errors import BakeryError
from bakery.system.grub.source import Source

TOKEN_LIMIT = 50_000

_NAME = r"(?:[A-Za-z_]\w*|[0-9]+|[?#*@])"
_BLANK = re.compile(r"(?:[ \t]|\#[^\n]*)+")
_OPERATOR = re.compile(r"\|\||&&|;;|[|&;<>{}\n]")
_WORD = re.compile(
    rf"""(?:[^{{}}|&$;<>\ \t\n'"\\]
       | "(?:[^"\\]|\\.)*"
       | '[^']*'
       | \\.
       | \$(?:{_NAME}|\{{{_NAME}\}}|"(?:[^"\\]|\\.)*")
       )+""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PIECE = re.compile(
    rf"""'(?P<single>[^']*)'
       | \$"(?P<translated>(?:[^"\\]|\\.)*)"
       | "(?P<double>(?:[^"\\]|\\.)*)"
       | \$(?:\{{(?P<braced>{_NAME})\}}|(?P<name>{_NAME}))
       | (?P<bare>(?:[^'"\\$]|\\.)+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_DOUBLE = re.compile(
    rf"""\\(?P<escaped>["$\\])
       | (?P<joined>\\\n)
       | \$(?:\{{(?P<braced>{_NAME})\}}|(?P<name>{_NAME}))
       | (?P<bare>[^\\$]+|\\)
       | (?P<bad>\$)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_TRANSLATED = re.compile(r'\\(\\|"|\n)', re.DOTALL)
_UNQUOTED_JOIN = re.compile(r"(\\[^\n])|\\\n", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED = "case do done elif else esac fi for if in select then until while function [[ ]]"
RESERVED = frozenset(_RESERVED.split())


class Kind(Enum):
    """What a piece of a word is.

    A bare text may hold wildcards and backslashes in front of what is to be taken as it is; a
    quoted one and a quoted variable hold nothing but themselves. `TRANSLATED` is `$"…"`.
    """

    BARE = auto()
    QUOTED = auto()
    VARIABLE = auto()
    QUOTED_VARIABLE = auto()
    TRANSLATED = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a word: its text, or the name of a variable."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, quotes and all, between two characters of its source."""

    source: Source
    start: int
    raw: str
    pieces: tuple[Piece, ...]

    @property
    def end(self) -> int:
        """The first character behind it."""
        return self.start + len(self.raw)

    @property
    def is_identifier(self) -> bool:
        """Whether it is what `for` and `function` take for a name."""
        return bool(_IDENTIFIER.fullmatch(self.raw)) and self.raw not in RESERVED

    @property
    def has_variable(self) -> bool:
        """Whether its value depends on a variable."""
        return any(
            p.kind in (Kind.VARIABLE, Kind.QUOTED_VARIABLE, Kind.TRANSLATED) for p in self.pieces
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A word, an operator (`kind` is its text, a line break is `\\n`), or the end (`kind` "")."""

    kind: str
    start: int
    end: int
    word: Word | None = None


class Malformed(Exception):
    """The text is not in GRUB's language, from the character at `position` on."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason


class Lexer:
    """The tokens of a source, one after the other; at most `TOKEN_LIMIT`, else BakeryError."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self._left = TOKEN_LIMIT

    def next(self) -> Token:
        """The next token. Malformed where there is none."""
        chars = self.source.chars
        self._left -= 1
        if self._left < 0:
            raise BakeryError(f"{self.source.file} holds more than {TOKEN_LIMIT} words and lines")
        if blank := _BLANK.match(chars, self.position):
            self.position = blank.end()
        start = self.position
        if start >= len(chars):
            return Token("", start, start)
        if match := _OPERATOR.match(chars, start):
            self.position = match.end()
            return Token(match[0], start, match.end())
        match = _WORD.match(chars, start)
        end = match.end() if match else start
        self._check_end(start, end)
        assert match is not None
        self.position = end
        if match[0] in RESERVED:
            return Token(match[0], start, end, _plain(self.source, start, match[0]))
        return Token("word", start, end, Word(self.source, start, match[0], _pieces(match[0], end)))

    def skip_line(self) -> None:
        """Goes on behind the line that was read last, as GRUB does after an error in it."""
        end = self.source.chars.find("\n", max(self.position - 1, 0))
        self.position = len(self.source.chars) if end < 0 else end + 1

    def _check_end(self, start: int, end: int) -> None:
        """Malformed where a word ends at a quote that is not closed, or a `$` without a name."""
        chars = self.source.chars
        behind = chars[end : end + 2]
        if behind[:1] in ("'", '"') or behind == '$"':
            self.position = len(chars)
            raise Malformed(start, "a quote is not closed")
        if behind[:1] == "\\" or (end == len(chars) and chars[end - 1] == "\n"):
            self.position = len(chars)
            raise Malformed(start, "it ends in a backslash")
        if end == start or behind[:1] == "$":
            self.position = end + 1
            raise Malformed(end, "a $ stands before no variable")


def quote(text: str) -> str:
    """`text` as one word that GRUB reads back as `text`; bare where that is safe."""
    if re.fullmatch(r"[A-Za-z0-9_./:,=+@%~^-]+", text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def _plain(source: Source, start: int, raw: str) -> Word:
    return Word(source, start, raw, (Piece(Kind.BARE, raw),))


def _pieces(raw: str, end: int) -> tuple[Piece, ...]:
    """The pieces of a word; Malformed where a `$` in double quotes stands before no variable."""
    found: list[Piece] = []
    for match in _PIECE.finditer(raw):
        kind, text = match.lastgroup, match[match.lastgroup or 0]
        if kind == "double":
            found += _in_double(text, end)
        elif kind == "single":
            found.append(Piece(Kind.QUOTED, text))
        elif kind == "translated":
            if found and found[-1].kind is Kind.BARE:  # GRUB takes that for a part of it
                found[-1] = Piece(Kind.TRANSLATED, found[-1].text)
            found.append(Piece(Kind.TRANSLATED, _IN_TRANSLATED.sub(_untranslated, text)))
        elif kind == "bare":
            found.append(Piece(Kind.BARE, _UNQUOTED_JOIN.sub(lambda m: m[1] or "", text)))
        else:
            found.append(Piece(Kind.VARIABLE, text))
    return tuple(found)


def _in_double(text: str, end: int) -> list[Piece]:
    found: list[Piece] = []
    literal = ""
    for match in _IN_DOUBLE.finditer(text):
        if match["bad"]:
            raise Malformed(end, "a $ stands before no variable")
        name = match["braced"] or match["name"]
        if name:
            found += [Piece(Kind.QUOTED, literal), Piece(Kind.QUOTED_VARIABLE, name)]
            literal = ""
        else:
            literal += match["escaped"] or match["bare"] or ""
    return [*found, Piece(Kind.QUOTED, literal)]


def _untranslated(match: re.Match[str]) -> str:
    return {"\\": "\\\\", '"': '"', "\n": ""}[match[1]]
