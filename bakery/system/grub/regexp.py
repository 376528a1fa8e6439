"""POSIX extended regular expressions, for `regexp`, in bounded time.

Python's own engine may take for ever on a pattern of an image. Known are characters, `.`, `^`,
`$`, sets (with classes such as `[:alpha:]`), groups, `|`, `*`, `+`, `?` and `{m,n}`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bakery.host.errors import BakeryError

PATTERN_LIMIT = 256
TEXT_LIMIT = 4096
STEP_LIMIT = 100_000
REPEAT_LIMIT = 255
DEPTH_LIMIT = 20

Spans = tuple[tuple[int, int] | None, ...]
_Then = Callable[[int, Spans], bool]

_CLASSES: dict[str, Callable[[str], bool]] = {
    "alpha": lambda c: c.isascii() and c.isalpha(),
    "digit": lambda c: c in "0123456789",
    "alnum": lambda c: c.isascii() and c.isalnum(),
    "upper": lambda c: c.isascii() and c.isupper(),
    "lower": lambda c: c.isascii() and c.islower(),
    "space": lambda c: c in " \t\n\v\f\r",
    "blank": lambda c: c in " \t",
    "punct": lambda c: "!" <= c <= "~" and not c.isalnum(),
    "print": lambda c: " " <= c <= "~",
    "graph": lambda c: "!" <= c <= "~",
    "cntrl": lambda c: c < " " or c == "\x7f",
    "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}


@dataclass(frozen=True, slots=True)
class _One:
    """One character for which `fits` holds."""

    fits: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class _Edge:
    """The start, or the end, of the text."""

    is_start: bool


@dataclass(frozen=True, slots=True)
class _Group:
    number: int
    inner: "_Node"


@dataclass(frozen=True, slots=True)
class _Repeat:
    inner: "_Node"
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class _Row:
    nodes: "tuple[_Node, ...]"


@dataclass(frozen=True, slots=True)
class _Either:
    rows: "tuple[_Row, ...]"


_Node = _One | _Edge | _Group | _Repeat | _Row | _Either


@dataclass(slots=True)
class Steps:
    """How many steps matching may take yet."""

    left: int = STEP_LIMIT

    def count(self) -> None:
        """BakeryError where none is left."""
        self.left -= 1
        if self.left < 0:
            raise BakeryError("the patterns of GRUB's scripts take too many steps to match")


def match(pattern: str, text: str, steps: Steps | None = None) -> tuple[str | None, ...] | None:
    """The texts of the whole and of each group; None where nothing matches, or it is no pattern.

    The match begins as early as it can and is the longest there. BakeryError where `steps` are
    too few to tell.
    """
    if len(pattern) > PATTERN_LIMIT or len(text) > TEXT_LIMIT:
        raise BakeryError("GRUB's script matches a pattern or a text out of all proportion")
    reader = _Reader(pattern)
    try:
        node = reader.either(0)
    except ValueError:
        return None
    if reader.at < len(pattern):
        return None
    matcher = _Matcher(text, steps or Steps(), longest="|" in pattern)
    for start in range(len(text) + 1):
        spans = matcher.at(node, start, reader.groups)
        if spans:
            return tuple(text[span[0] : span[1]] if span else None for span in spans)
    return None


class _Reader:
    """A pattern, read; ValueError where it is none."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.groups = 0

    def either(self, depth: int) -> _Node:
        if depth > DEPTH_LIMIT:
            raise ValueError("too deep")
        rows = [self._row(depth)]
        while self._peek() == "|":
            self.at += 1
            rows.append(self._row(depth))
        return rows[0] if len(rows) == 1 else _Either(tuple(rows))

    def _row(self, depth: int) -> _Row:
        nodes: list[_Node] = []
        while self._peek() not in ("", "|") and not (self._peek() == ")" and depth):
            node = self._one(depth)
            while bounds := self._bounds():
                node = _Repeat(node, *bounds)
            nodes.append(node)
        return _Row(tuple(nodes))

    def _one(self, depth: int) -> _Node:
        char = self._take()
        if char == "(":
            self.groups += 1
            number = self.groups
            inner = self.either(depth + 1)
            if self._take() != ")":
                raise ValueError("no )")
            return _Group(number, inner)
        if char == "[":
            return _One(self._set())
        if char in "^$":
            return _Edge(char == "^")
        if char == ".":
            return _One(lambda _c: True)
        if char in "*+?" or (char == "{" and self._peek() in "0123456789"):
            raise ValueError("nothing to repeat")
        if char == "\\":
            char = self._take()
            if char in "wWsSbB<>`'123456789":
                raise BakeryError(f"GRUB's script matches by \\{char}, which is not known here")
        return _One(lambda c: c == char)

    def _bounds(self) -> tuple[int, int] | None:
        """How often what stands in front is repeated; None where it is not."""
        char = self._peek()
        if char in ("*", "+", "?"):
            self.at += 1
            return (int(char == "+"), 1 if char == "?" else TEXT_LIMIT)
        end = self.pattern.find("}", self.at)
        if char != "{" or end < 0:
            return None
        low, comma, high = self.pattern[self.at + 1 : end].partition(",")
        if not (low or comma) or not (low + high).isdecimal() or not (low + high).isascii():
            return None
        self.at = end + 1
        least = int(low or 0)
        most = int(high) if high else TEXT_LIMIT if comma else least
        if least > min(most, REPEAT_LIMIT) or (high and most > REPEAT_LIMIT):
            raise ValueError("bad bounds")
        return least, most

    def _set(self) -> Callable[[str], bool]:
        negated = self._peek() == "^"
        self.at += negated
        singles: set[str] = set()
        classes: list[Callable[[str], bool]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            char = self._take()
            if char == "[" and self._peek() in (":", ".", "="):
                name, found, _ = self.pattern[self.at + 1 :].partition(":]")
                if self._peek() != ":" or not found or name not in _CLASSES:
                    raise ValueError("no class")
                self.at += len(name) + 3
                classes.append(_CLASSES[name])
            elif self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("", "]"):
                self.at += 1
                last = self._take()
                singles |= {chr(code) for code in range(ord(char), min(ord(last), 255) + 1)}
            else:
                singles.add(char)
        self.at += 1

        def fits(char: str) -> bool:
            return (char in singles or any(holds(char) for holds in classes)) is not negated

        return fits

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise ValueError("the pattern ends early")
        self.at += 1
        return char


class _Matcher:
    """Tries the ways to match, the longest of each part first, and counts its steps."""

    def __init__(self, text: str, steps: Steps, *, longest: bool) -> None:
        self.text = text
        self.longest = longest
        self.steps = steps
        self.best: Spans = ()

    def at(self, node: _Node, start: int, groups: int) -> Spans:
        """The match that begins here, the whole in front of the groups; empty where there is none.

        Without an alternative the first way that matches is the longest.
        """
        self.best = ()

        def end(at: int, spans: Spans) -> bool:
            whole = spans[0]
            if not self.best or at > (self.best[0] or (0, 0))[1]:
                assert whole is not None
                self.best = ((whole[0], at), *spans[1:])
            return not self.longest

        self._try(node, start, ((start, start), *[None] * groups), end)
        return self.best

    def _try(self, node: _Node, at: int, spans: Spans, then: _Then) -> bool:
        """Whether the search is over: the node matches at `at`, and so does all that follows."""
        self.steps.count()
        match node:
            case _One(fits):
                found = at < len(self.text) and fits(self.text[at])
                return found and then(at + 1, spans)
            case _Edge(is_start):
                return at == (0 if is_start else len(self.text)) and then(at, spans)
            case _Group(number, inner):

                def close(end: int, inner_spans: Spans) -> bool:
                    changed = list(inner_spans)
                    changed[number] = (at, end)
                    return then(end, tuple(changed))

                return self._try(inner, at, spans, close)
            case _Either(rows):
                return any(self._try(row, at, spans, then) for row in rows)
            case _Row(nodes):
                return self._row(nodes, at, spans, then)
            case _Repeat(_One(fits), least, most):
                return self._run(fits, least, most, at, spans, then)
        return self._repeat(node, 0, at, spans, then)

    def _row(self, nodes: tuple[_Node, ...], at: int, spans: Spans, then: _Then) -> bool:
        if not nodes:
            return then(at, spans)
        return self._try(nodes[0], at, spans, lambda end, s: self._row(nodes[1:], end, s, then))

    def _run(
        self,
        fits: Callable[[str], bool],
        least: int,
        most: int,
        at: int,
        spans: Spans,
        then: _Then,
    ) -> bool:
        """A repeated character, without a level of calls for each."""
        count = 0
        while count < most and at + count < len(self.text) and fits(self.text[at + count]):
            count += 1
            self.steps.count()
        for length in range(count, least - 1, -1):
            self.steps.count()
            if then(at + length, spans):
                return True
        return False

    def _repeat(self, node: _Repeat, done: int, at: int, spans: Spans, then: _Then) -> bool:
        if done > DEPTH_LIMIT * 2:
            raise BakeryError("a pattern of GRUB's script repeats a group too often")

        def again(end: int, inner: Spans) -> bool:
            if end == at and done >= node.least:
                return False
            return self._repeat(node, done + 1, end, inner, then)

        if done < node.most and self._try(node.inner, at, spans, again):
            return True
        return done >= node.least and then(at, spans)
