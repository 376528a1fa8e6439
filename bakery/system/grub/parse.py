"""GRUB's script language as commands: the grammar of grub-core/script/parser.y.

GRUB reads and runs a script line by line, a line with an open block, loop or quote together with
those that follow. What is wrong in one of these is passed over up to the end of the last line
read, and the next line counts again.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from bakery.host.errors import BakeryError
from bakery.system.grub.source import Source
from bakery.system.grub.words import Lexer, Malformed, Token, Word

DEPTH_LIMIT = 24

_SEPARATORS = (";", "\n")
_NO_ARGUMENTS = ("", ";", "\n", "{", "}", "|", "||", "&", "&&", ";;", "<", ">", "[[", "]]")


@dataclass(frozen=True, slots=True)
class Command:
    """A command's words, and the text of the block in braces behind them (None: there is none)."""

    words: tuple[Word, ...]
    block: Source | None = None
    body: "tuple[Node, ...]" = ()
    """The block's own commands."""


@dataclass(frozen=True, slots=True)
class If:
    """`if`, with what an `elif` holds inside `otherwise`; `start` is its place in its source."""

    start: tuple[Source, int]
    condition: "tuple[Node, ...]"
    then: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class For:
    """`for name in words`."""

    name: str
    words: tuple[Word, ...]
    body: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class While:
    """`while`, or `until`."""

    condition: "tuple[Node, ...]"
    body: "tuple[Node, ...]"
    until: bool


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: "tuple[Node, ...]"


Node = Command | If | For | While | Function

Branches = dict[tuple[int, int], bool]
"""Whether `then` is taken (else the other branch), by an `if`'s source (its `id`) and place."""


@dataclass(frozen=True, slots=True)
class Line:
    """What GRUB runs together: the commands of a line, or why it does not run them.

    Functions are defined while the line is read, so also where something behind is wrong.
    """

    nodes: tuple[Node, ...]
    functions: tuple[Function, ...] = ()
    problem: str = ""


def lines(source: Source) -> Iterator[Line]:
    """The lines of a script, in their order.

    BakeryError where the script nests deeper than `DEPTH_LIMIT` or holds too many words.
    """
    return _Parser(source).lines()


def walk(nodes: tuple[Node, ...]) -> Iterator[Command]:
    """Every command in the order of the text, those in blocks and branches included."""
    for node in nodes:
        match node:
            case Command(body=body):
                yield node
                yield from walk(body)
            case If(_, condition, then, otherwise):
                yield from walk(condition + then + otherwise)
            case For(_, _, body) | Function(_, body):
                yield from walk(body)
            case While(condition, body, _):
                yield from walk(condition + body)


def ways(nodes: tuple[Node, ...], names: Collection[str]) -> list[Branches]:
    """The branches that lead to a command of these names, one way for each inside an `if`."""
    found: list[Branches] = []
    for node in nodes:
        match node:
            case If(then=then, otherwise=otherwise):
                key = (id(node.start[0]), node.start[1])
                for branch, inner in ((True, then), (False, otherwise)):
                    if any(command.words[0].raw in names for command in walk(inner)):
                        found += [{key: branch} | way for way in ways(inner, names) or [{}]]
            case For(_, _, body) | While(_, body, _):
                found += ways(body, names)
    return found


class _Parser:
    """Recursive descent with one token of look-ahead; `depth` is how many constructs are open."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lexer = Lexer(source)
        self.token: Token
        self.depth = 0
        self.functions: list[Function] = []

    def lines(self) -> Iterator[Line]:
        while self.lexer.position < len(self.source.chars):
            self.depth = 0
            self.functions = []
            try:
                nodes = self._line()
            except Malformed as error:
                line = self.source.chars.count("\n", 0, error.position) + 1
                self.lexer.skip_line()
                reason = f"{self.source.file}: line {line}: {error.reason}"
                yield Line((), tuple(self.functions), reason)
            else:
                yield Line(tuple(nodes), tuple(self.functions))

    def _line(self) -> list[Node]:
        """The statements up to the end of a line."""
        nodes: list[Node] = []
        self._advance()
        while self.token.kind not in ("\n", ""):
            nodes.append(self._statement())
            if self.token.kind == ";":
                self._advance()
            elif self.token.kind not in ("\n", ""):
                raise self._unexpected()
        return nodes

    def _statement(self) -> Node:
        if self.token.kind == "function":
            function = self._function()
            self.functions.append(function)
            return function
        return self._command()

    def _command(self) -> Node:
        match self.token.kind:
            case "word":
                return self._simple()
            case "if":
                return self._nested(self._if)
            case "for":
                return self._nested(self._for)
            case "while" | "until" as kind:
                return self._nested(lambda: self._while(until=kind == "until"))
        raise self._unexpected()

    def _nested(self, parse: Callable[[], Node]) -> Node:
        self._deeper()
        self._advance()
        node = parse()
        self.depth -= 1
        self._advance()
        return node

    def _if(self) -> Node:
        """From behind `if` or `elif` to `fi`, which is the token now."""
        start = (self.source, self.token.start)
        condition = self._list("then")
        self._advance()
        then = self._list("fi", "else", "elif")
        if self.token.kind == "else":
            self._advance()
            return If(start, condition, then, self._list("fi"))
        if self.token.kind == "elif":
            self._deeper()
            self._advance()
            otherwise = self._if()
            self.depth -= 1
            return If(start, condition, then, (otherwise,))
        return If(start, condition, then, ())

    def _for(self) -> Node:
        name = self._name()
        self._expect("in")
        self._advance()
        words = self._arguments()
        self._separators()
        self._expect("do")
        self._advance()
        return For(name, words, self._list("done"))

    def _while(self, *, until: bool) -> Node:
        condition = self._list("do")
        self._advance()
        return While(condition, self._list("done"), until)

    def _function(self) -> Function:
        self._deeper()
        self._advance()
        name = self._name()
        while self.token.kind == "\n":
            self._advance()
        self._expect("{")
        self._advance()
        body = self._list("}")
        self.depth -= 1
        self._advance()
        return Function(name, body)

    def _simple(self) -> Command:
        assert self.token.word is not None
        first = self.token.word
        self._advance()
        words = (first, *self._arguments())
        if self.token.kind != "{":
            return Command(words)
        self._deeper()
        start = self.token.end
        self._advance()
        body = self._list("}", closed=True)
        block = self.source.part(start, self.token.start)
        self.depth -= 1
        self._advance()
        return Command(words, block, body)

    def _arguments(self) -> tuple[Word, ...]:
        words: list[Word] = []
        while self.token.kind not in _NO_ARGUMENTS:
            assert self.token.word is not None
            words.append(self.token.word)
            self._advance()
        return tuple(words)

    def _list(self, *ends: str, closed: bool = False) -> "tuple[Node, ...]":
        """Commands up to one of these tokens, in front of which a separator stands.

        `closed`: the token needs no separator in front of it.
        """
        while self.token.kind == "\n":
            self._advance()
        nodes: list[Node] = [self._command()]
        while True:
            if closed and self.token.kind in ends:
                return tuple(nodes)
            self._separators()
            if self.token.kind in ends:
                return tuple(nodes)
            nodes.append(self._command())

    def _separators(self) -> None:
        if self.token.kind not in _SEPARATORS:
            raise self._unexpected()
        self._advance()
        while self.token.kind == "\n":
            self._advance()

    def _name(self) -> str:
        word = self.token.word
        if self.token.kind != "word" or word is None or not word.is_identifier:
            raise self._unexpected()
        self._advance()
        return word.raw

    def _expect(self, kind: str) -> None:
        if self.token.kind != kind:
            raise self._unexpected()

    def _advance(self) -> None:
        self.token = self.lexer.next()

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise BakeryError(f"{self.source.file} nests blocks deeper than {DEPTH_LIMIT}")

    def _unexpected(self) -> Malformed:
        if self.token.kind == "":
            return Malformed(self.token.start, "it ends inside a block: a }, fi or done is missing")
        raw = self.source.chars[self.token.start : self.token.end].strip() or "a line break"
        return Malformed(self.token.start, f"{raw[:40]} is not expected here")
