"""GRUB's script language, as far as reading a grub.cfg needs it: words, commands, blocks.

Nothing is run. Both branches of an `if` are seen one after the other, and `then`, `else`, `do`
are skipped (GRUB manual, "Shell-like scripting"; grub-core/script/yylex.l).

The text is read as Latin-1, so that every position is a byte's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bakery.host.errors import BakeryError
from bakery.system import expansion

SIZE_LIMIT_BYTES = 256 << 10
TOKEN_LIMIT = 50_000
DEPTH_LIMIT = 16

_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r]+|\\\r?\n)+)
      | (?P<comment>\#[^\n]*)
      | (?P<open>\{)
      | (?P<close>\})
      | (?P<end>[\n;&|<>])
      | (?P<word>(?:[^{}|&$;<>\s'"\\]+|"[^"\\]*(?:\\.[^"\\]*)*"|'[^']*'|\\.|\$(?:\{\w*\}|\w*))+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PIECE = re.compile(
    r"""'(?P<single>[^']*)'
      | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
      | \\(?P<escaped>.)
      | \$(?:\{(?P<braced>\w*)\}|(?P<name>\w*))
      | (?P<bare>[^'"\\$]+)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_IN_DOUBLE = re.compile(
    r"""\\(?P<escaped>["$\\])
      | (?P<joined>\\\n)
      | \$(?:\{(?P<braced>\w+)\}|(?P<name>\w+))
      | (?P<bare>[^\\$]+|.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SKIPPED = frozenset(("then", "else", "do"))


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, quotes and all; `start` is its first byte in the text."""

    start: int
    raw: str

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.start + len(self.raw)

    @property
    def has_variable(self) -> bool:
        """Whether its value depends on a variable."""
        return any(name for _, name, _ in _pieces(self.raw))

    def value(self, environment: Mapping[str, str]) -> str:
        """What GRUB makes of it; a variable the environment does not hold is empty.

        BakeryError where that grows beyond all bounds.
        """
        texts = (environment.get(name, "") if name else text for text, name, _ in _pieces(self.raw))
        return _decoded(expansion.joined(texts))

    def values(self, environment: Mapping[str, str]) -> list[str]:
        """The words GRUB makes of it: a bare variable falls apart at its blanks."""
        if any(name and not quoted for _, name, quoted in _pieces(self.raw)):
            return self.value(environment).split()
        return [self.value(environment)]


@dataclass(frozen=True, slots=True)
class Command:
    """A command's words, and the block in braces behind them (None: there is none)."""

    words: tuple[Word, ...]
    block: "list[Command] | None" = field(default=None)

    @property
    def name(self) -> str:
        """Its first word, as it is written."""
        return self.words[0].raw if self.words else ""


def parse(text: bytes) -> list[Command]:
    """The commands of a script, those in blocks inside their commands.

    BakeryError when the script is over the bounds above, or does not add up: a quote or a brace
    without its partner.
    """
    if len(text) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"grub.cfg holds {len(text)} bytes, more than {SIZE_LIMIT_BYTES}")
    levels: list[list[Command]] = [[]]
    words: list[Word] = []
    for kind, word in _tokens(text.decode("latin-1")):
        if kind == "word":
            words += [] if not words and word.raw in _SKIPPED else [word]
            continue
        block: list[Command] | None = [] if kind == "open" else None
        if words or block is not None:
            levels[-1].append(Command(tuple(words), block))
            words = []
        _change_level(levels, block, kind, word.start)
    if words:
        levels[-1].append(Command(tuple(words)))
    if len(levels) > 1:
        raise BakeryError("grub.cfg ends inside a block: a } is missing")
    return levels[0]


def walk(commands: list[Command]) -> Iterator[Command]:
    """Every command in the order of the text, those in blocks behind their command."""
    for command in commands:
        yield command
        if command.block:
            yield from walk(command.block)


def quote(text: str) -> str:
    """`text` as one word that GRUB reads back as `text`; bare where that is safe."""
    if re.fullmatch(r"[A-Za-z0-9_./:,=+@%~^-]+", text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"


def _change_level(
    levels: list[list[Command]], block: list[Command] | None, kind: str, position: int
) -> None:
    if block is not None:
        levels.append(block)
        if len(levels) > DEPTH_LIMIT:
            raise BakeryError(f"grub.cfg nests blocks deeper than {DEPTH_LIMIT}")
    elif kind == "close":
        levels.pop()
        if not levels:
            raise BakeryError(f"grub.cfg is malformed: one }} too many at byte {position}")


def _tokens(text: str) -> Iterator[tuple[str, Word]]:
    position = tokens = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise BakeryError(f"grub.cfg is malformed: an unmatched quote at byte {position}")
        kind = match.lastgroup or ""
        if kind not in ("blank", "comment"):
            tokens += 1
            yield kind, Word(position, match[0])
        if tokens > TOKEN_LIMIT:
            raise BakeryError(f"grub.cfg holds more than {TOKEN_LIMIT} words and lines")
        position = match.end()


def _pieces(raw: str) -> Iterator[tuple[str, str, bool]]:
    """The pieces of a word: literal text, or a variable's name, and whether it is quoted."""
    for match in _PIECE.finditer(raw):
        if match["double"] is not None:
            for inner in _IN_DOUBLE.finditer(match["double"]):
                text = inner["escaped"] or inner["bare"] or ""
                yield text, inner["braced"] or inner["name"] or "", True
        else:
            # A backslash in front of a line's end joins the two lines.
            escaped = (match["escaped"] or "").replace("\n", "")
            text = match["single"] or escaped or match["bare"] or ""
            yield text, match["braced"] or match["name"] or "", False


def _decoded(text: str) -> str:
    """Latin-1 positions back to the UTF-8 the file is in; variables may be beyond Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text
