"""Words with their variables and wildcards filled in: GRUB's grub_script_arglist_to_argv.

While a command's arguments are made, a backslash stands in front of each character that is no
wildcard though it looks like one; it goes when the wildcards have been tried (execute.c, argv.c
and commands/wildcard.c).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bakery.system import expansion
from bakery.system.grub.menu import Variable
from bakery.system.grub.variables import Argument, Variables, merged
from bakery.system.grub.words import Kind, Piece, Word

Scope = Sequence[Argument] | None
"""What $1, $2… are; None outside of functions and menu entries."""

_SPECIAL = re.compile(r"[0-9]+|[#*@]")
_TRANSLATED = re.compile(
    r"(?P<escape>\\\\|\\\$)|\$(?:\{(?P<braced>[^}]*)\}|(?P<name>[0-9]+|[A-Za-z_]\w*|[?#]))",
    re.ASCII,
)


@dataclass(slots=True)
class _Growing:
    """The arguments so far; a part is None until something, be it empty, was put into it."""

    room: int = expansion.LIMIT_CHARACTERS
    done: list[Argument] = field(default_factory=list)
    text: str | None = None
    fed_by: tuple[Variable, ...] = ()
    word: int = -1

    def next(self) -> None:
        """Begins a new argument, if the one that is begun is not still without anything."""
        if self.text is not None:
            self.done.append(Argument(self.text, self.fed_by, self.word))
            self.text, self.fed_by = None, ()

    def add(self, text: str, fed_by: tuple[Variable, ...] = ()) -> None:
        self.room -= len(text) + 1
        if self.room < 0:
            raise expansion.too_long()
        self.text = (self.text or "") + text
        self.fed_by = merged([self.fed_by, fed_by]) if fed_by else self.fed_by

    def split(self, text: str, fed_by: tuple[Variable, ...]) -> None:
        """Adds a text that falls apart at its blanks."""
        for count, part in enumerate(re.split("[ \t\n\v\f\r]+", text.strip(" \t\n\v\f\r"))):
            if count:
                self.next()
            if part:
                self.add(_kept_backslashes(part), fed_by)


def arguments(
    words: Sequence[Word],
    known: Variables,
    scope: Scope,
    wildcards: Callable[[str], list[str] | None],
    block: str | None = None,
) -> list[Argument]:
    """The arguments that these words come to, and last the text of a block with its braces.

    `wildcards` gives the paths that match a pattern, in which `*` and `?` count unless there is
    a backslash in front; None where the text is no pattern or nothing matches. BakeryError where
    the text grows beyond all bounds.
    """
    growing = _Growing()
    for place, word in enumerate(words):
        growing.next()
        growing.word = place
        for piece in word.pieces:
            _add(growing, piece, known, scope)
    if block is not None:
        growing.next()
        growing.word = -1
        growing.add("{" + _escaped(block) + "}")
    growing.next()
    found: list[Argument] = []
    for one in growing.done:
        paths = wildcards(one.text)
        texts = [unescaped(one.text)] if paths is None else paths
        found += [Argument(text, one.fed_by, one.word) for text in texts]
    return found


def is_special(name: str) -> bool:
    """Whether a variable is one that only calls set: $1, $#, $*, $@ (`grub_env_special`)."""
    return name[:1].isdigit() or name in ("#", "*", "@")


def _add(growing: _Growing, piece: Piece, known: Variables, scope: Scope) -> None:
    match piece.kind:
        case Kind.BARE:
            if piece.text:
                growing.add(piece.text)
        case Kind.QUOTED:
            growing.add(_escaped(piece.text))
        case Kind.TRANSLATED:
            growing.add(_escaped(_translated(piece.text, known, scope)))
        case Kind.VARIABLE | Kind.QUOTED_VARIABLE:
            quoted = piece.kind is Kind.QUOTED_VARIABLE
            for count, one in enumerate(_values(piece.text, known, scope, quoted=quoted)):
                if count:
                    growing.next()
                if quoted:
                    growing.add(_escaped(one.text), one.fed_by)
                else:
                    growing.split(one.text, one.fed_by)


def _values(name: str, known: Variables, scope: Scope, *, quoted: bool) -> Iterator[Argument]:
    """What a variable stands for: nothing, one text, or for $@ and $* several."""
    if not _SPECIAL.fullmatch(name):
        text = known.get(name)
        if text:
            yield Argument(text, known.named(name))
    elif scope is None:
        return
    elif name == "#":
        yield Argument(str(len(scope)))
    elif name == "*" and quoted:
        if scope:
            fed_by = merged(one.fed_by for one in scope)
            yield Argument(" ".join(one.text for one in scope), fed_by)
    elif name in "*@":
        yield from scope
    elif len(name) < 10 and 0 < int(name) <= len(scope):
        yield scope[int(name) - 1]


def _translated(text: str, known: Variables, scope: Scope) -> str:
    """A text of `$"…"` with its variables filled in; no translation changes what is booted."""

    def filled(match: re.Match[str]) -> str:
        if match["escape"]:
            return match["escape"][1]
        name = match["braced"] if match["braced"] is not None else match["name"]
        if name == "#":
            return str(len(scope)) if scope is not None else ""
        return known.get(name) or ""

    return _TRANSLATED.sub(filled, text)


def _escaped(text: str) -> str:
    return re.sub(r"([*?\\])", r"\\\1", text)


def _kept_backslashes(text: str) -> str:
    """A bare variable's text: its wildcards count, its backslashes are kept."""
    return re.sub(r"\\(?=([*?])?)", lambda m: "\\\\\\" if m[1] else "\\\\", text)


def unescaped(text: str) -> str:
    """A bare text without the backslashes in front of what is taken as it is."""
    return re.sub(r"\\(.?)", r"\1", text, flags=re.DOTALL)
