"""Which functions take bytes or texts apart, by the source; and which of them run for an input."""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path
from types import CodeType, FrameType

import bakery

PACKAGE = Path(bakery.__file__).parent
NUMBERS = frozenset(("int", "float"))
"""Most of what crashes a parser of texts: no number, or one of too many digits."""
FIELDS = frozenset(
    ("unpack", "unpack_from", "iter_unpack", "from_bytes", "fromhex", "b64decode", "frombytes")
)
"""Methods that make numbers or other bytes of bytes."""
DOCUMENTS = {
    "json": frozenset(("load", "loads")),
    "msgspec": frozenset(("convert", "decode")),
    "tomllib": frozenset(("load", "loads")),
    "yaml": frozenset(("load",)),
}
PATTERNS = frozenset(
    ("match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn", "scanner")
)
"""What is asked of a compiled pattern, which is a constant here, or of `re` itself."""
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*")


def dissectors() -> set[str]:
    """`folder/module.py:function` of each function of bakery that takes something apart."""
    return {site for path in sorted(PACKAGE.rglob("*.py")) for site in _of_module(path)}


def reached(run: Callable[[], object]) -> set[str]:
    """The functions of bakery, named as above, that were entered while `run` ran."""
    entered: set[CodeType] = set()

    def look(frame: FrameType, event: str, _value: object) -> None:
        if event == "call":
            entered.add(frame.f_code)

    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(None)
    return {
        _site(Path(code.co_filename), code.co_qualname.split("."))
        for code in entered
        if Path(code.co_filename).is_relative_to(PACKAGE)
    }


def _of_module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_bytes())
    imports = (one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom))
    ours = {
        alias.asname or alias.name
        for one in imports
        if one.level or (one.module or "").split(".")[0] == PACKAGE.name
        for alias in one.names
    }
    return _in(tree, path, (), ours)


def _in(node: ast.AST, path: Path, within: tuple[str, ...], ours: Set[str]) -> Iterator[str]:
    """The sites in `node`, which lies in these classes and functions; `ours` are other modules."""
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = (*within, child.name)
        if isinstance(child, ast.Call) and within and _takes_apart(child.func, ours):
            yield _site(path, inner)
        yield from _in(child, path, inner, ours)


def _takes_apart(function: ast.expr, ours: Set[str]) -> bool:
    if not isinstance(function, ast.Attribute):
        return isinstance(function, ast.Name) and function.id in NUMBERS
    words = ast.unparse(function.value).split(".")
    if function.attr in FIELDS:
        return words[0] not in ours
    if function.attr in DOCUMENTS.get(words[0], ()):
        return True
    return function.attr in PATTERNS and (
        words[0] == "re" or CONSTANT.fullmatch(words[-1]) is not None
    )


def _site(path: Path, names: Iterable[str]) -> str:
    """Comprehensions and lambdas belong to the function that they stand in."""
    told = [name for name in names if not name.startswith("<")]
    return f"{path.relative_to(PACKAGE)}:{'.'.join(told)}"
