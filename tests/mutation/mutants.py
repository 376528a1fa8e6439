"""Where a module can be broken, and how: each mutant is one small change of its source text.

Texts are left alone (a word of a message breaks nothing), and so are annotations, what a
TYPE_CHECKING block holds, the keywords of a class, and how JSON and help are laid out. A time in
seconds and a bound are not made one larger: nobody could tell; that there is one, a test should.
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
COUNTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.FloorDiv: ("//", "*"),
}
JOINED: dict[type[ast.boolop], tuple[str, str]] = {ast.And: ("and", "or"), ast.Or: ("or", "and")}
BOUNDS = {"min": "max", "max": "min", "any": "all", "all": "any"}
LOOKS = ("indent", "show_default")
SIZE = re.compile(r"seconds|timeout|interval|delay|pause|limit|spare|buffer", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Mutant:
    """One change: the characters from `start` to `end` of the source become `text`."""

    start: int
    end: int
    text: str
    kind: str

    def applied(self, source: str) -> str:
        """The source with this change made."""
        return source[: self.start] + self.text + source[self.end :]


def mutants(source: str) -> list[Mutant]:
    """All of a module's, sorted by place; now and then one of them is not Python (`parses`)."""
    return sorted(set(Finder(source).module()))


def parses(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class Finder:
    """Walks a module's tree; a place is an offset in characters."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def module(self) -> Iterator[Mutant]:
        yield from self.below(ast.parse(self.source))

    def below(self, node: ast.AST) -> Iterator[Mutant]:
        """What can be changed in a node and in all that it holds."""
        for kind, of in KINDS.items():
            if isinstance(node, kind):
                yield from of(self, node)
        for child in children(node):
            yield from self.below(child)

    def place(self, line: int, column: int) -> int:
        before = self.lines[line - 1].encode()[:column].decode()
        return self.starts[line - 1] + len(before)

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.place(node.lineno, node.col_offset)
        return start, self.place(node.end_lineno, node.end_col_offset)

    def instead(self, node: ast.expr | ast.stmt, text: str, kind: str) -> Mutant:
        return Mutant(*self.span(node), text, kind)

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.source[start:end]

    def between(self, left: ast.expr, right: ast.expr, words: tuple[str, str]) -> Iterator[Mutant]:
        """The operator between two operands, which may stand in brackets and on other lines."""
        start, end = self.span(left)[1], self.span(right)[0]
        at = re.search(re.escape(words[0]), self.source[start:end])
        if at is not None:
            place = start + at.start()
            yield Mutant(place, start + at.end(), words[1], f"{words[0]} → {words[1]}")

    def compare(self, node: ast.Compare) -> Iterator[Mutant]:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands[:-1], node.ops, node.comparators, strict=True):
            start, end = self.span(left)[1], self.span(right)[0]
            was = self.source[start:end].strip(" ()\n")
            new = COMPARED[type(operator)]
            text = self.source[start:end].replace(was, new, 1)
            yield Mutant(start, end, text, f"{was} → {new}")

    def boolean(self, node: ast.BoolOp) -> Iterator[Mutant]:
        for left, right in zip(node.values[:-1], node.values[1:], strict=True):
            yield from self.between(left, right, JOINED[type(node.op)])

    def binary(self, node: ast.BinOp) -> Iterator[Mutant]:
        words = COUNTED.get(type(node.op))
        if words is not None and not is_text(node.left) and not is_text(node.right):
            yield from self.between(node.left, node.right, words)

    def negated(self, node: ast.UnaryOp) -> Iterator[Mutant]:
        if isinstance(node.op, ast.Not):
            yield self.instead(node, f"({self.text(node.operand)})", "not removed")

    def constant(self, node: ast.Constant) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield self.instead(node, str(not node.value), "flag flipped")
        elif isinstance(node.value, int):
            yield self.instead(node, str(node.value + 1), "one more")

    def test(self, node: ast.If | ast.IfExp | ast.While) -> Iterator[Mutant]:
        if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            yield self.instead(node.test, f"(not ({self.text(node.test)}))", "check inverted")
        if isinstance(node, ast.If):
            yield from self.early(node.body)

    def early(self, body: list[ast.stmt]) -> Iterator[Mutant]:
        """The end of a branch that leaves what it stands in."""
        if isinstance(body[-1], ast.Return | ast.Continue | ast.Break):
            yield self.instead(body[-1], "pass", "early end removed")

    def statement(self, node: ast.Expr) -> Iterator[Mutant]:
        if isinstance(node.value, ast.Call):
            yield self.instead(node, "pass", "call removed")

    def raised(self, node: ast.Raise) -> Iterator[Mutant]:
        yield self.instead(node, "pass", "raise removed")

    def call(self, node: ast.Call) -> Iterator[Mutant]:
        if isinstance(node.func, ast.Name) and node.func.id in BOUNDS:
            new = BOUNDS[node.func.id]
            yield self.instead(node.func, new, f"{node.func.id} → {new}")


KINDS: dict[type[ast.AST], Callable[..., Iterator[Mutant]]] = {
    ast.Compare: Finder.compare,
    ast.BoolOp: Finder.boolean,
    ast.BinOp: Finder.binary,
    ast.UnaryOp: Finder.negated,
    ast.Constant: Finder.constant,
    ast.If: Finder.test,
    ast.IfExp: Finder.test,
    ast.While: Finder.test,
    ast.Expr: Finder.statement,
    ast.Raise: Finder.raised,
    ast.Call: Finder.call,
}


def children(node: ast.AST) -> Iterator[ast.AST]:
    """What of a node is looked at: no annotation, no text, no type, no time."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not left_alone(node, name, child):
                yield child


def left_alone(node: ast.AST, name: str, child: ast.AST) -> bool:
    if isinstance(child, ast.JoinedStr) or is_text(child):
        return True
    if isinstance(node, ast.ClassDef) and name in ("keywords", "decorator_list"):
        return True
    if isinstance(child, ast.keyword):
        return child.arg in LOOKS or (child.arg is not None and bool(SIZE.search(child.arg)))
    if isinstance(child, ast.Assign):
        return any(isinstance(to, ast.Name) and SIZE.search(to.id) for to in child.targets)
    return isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)


def is_text(node: ast.AST) -> bool:
    """Whether a node is a text or bytes, or one put together of several."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes)
    return isinstance(node, ast.JoinedStr)
