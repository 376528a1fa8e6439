"""Root device hints: which of the node's disks the image goes to.

Source: Ironic, "Specifying the disk for deployment (root device hints)", and the operators of
oslo.utils' specs_matcher, which Ironic reads them with. Ironic writes the hints of a node into
one kernel argument, `root_device=NAME=VALUE,NAME=VALUE`, each value quoted as in a URL.
"""

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from .disks import Disk
from .errors import AgentError

GIB = 1 << 30
NUMBERS = ("size",)
TEXTS = ("name", "model", "vendor", "serial", "wwn", "hctl", "by_path")
FLAG = "rotational"
ALIASES = {"wwn_with_extension": "wwn"}
TRUE, FALSE = ("true", "t", "1", "on", "y", "yes"), ("false", "f", "0", "off", "n", "no")

NUMBER_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.ge,  # as in specs_matcher, whose `=` means `>=`
}
TEXT_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s>=": operator.ge,
    "s<=": operator.le,
    "s>": operator.gt,
    "s<": operator.lt,
    "<in>": operator.contains,
}
OR = "<or>"
QUOTED = re.compile(rb"%([0-9a-fA-F]{2})")
# Longer ones first: `s>=` begins like `s>`.
OPERATORS = sorted((*NUMBER_OPERATORS, *TEXT_OPERATORS, OR), key=lambda op: (-len(op), op))


class Hint(NamedTuple):
    """One condition on a disk: `name operator values`, with one value except for `<or>`."""

    name: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        if self.operator == OR:
            return f"{self.name} " + " ".join(f"{OR} {value}" for value in self.values)
        return f"{self.name} {self.operator} {self.values[0]}"


def parse(argument: str) -> list[Hint]:
    """The conditions in the kernel argument `root_device`; AgentError where one has no meaning."""
    hints = []
    for pair in filter(None, argument.split(",")):
        name, _, value = pair.partition("=")
        hints.append(_hint(name.strip().lower(), unquote(value).strip().lower()))
    return hints


def matches(disk: Disk, hint: Hint) -> bool:
    """Whether a disk is as a hint wants it; what a disk does not tell matches nothing."""
    if hint.name == FLAG:
        return disk.rotational == (hint.values[0] in TRUE)
    if hint.name in NUMBERS:
        return any(_compare_size(disk.size, hint.operator, float(v)) for v in hint.values)
    return any(_compare_text(_text_of(disk, hint.name), hint.operator, v) for v in hint.values)


def unquote(text: str) -> str:
    """The text before it was quoted for a URL (RFC 3986, 2.1); a lone % stays."""
    raw = text.encode("utf-8", "surrogateescape")
    return QUOTED.sub(lambda found: bytes.fromhex(found[1].decode()), raw).decode(
        "utf-8", "replace"
    )


def _hint(name: str, expression: str) -> Hint:
    name = ALIASES.get(name, name)
    if name not in (*NUMBERS, *TEXTS, FLAG):
        raise AgentError(f"the root device hint '{name}' is not known")
    if not expression:
        raise AgentError(f"the root device hint '{name}' has no value")
    sign = next((op for op in OPERATORS if _begins(expression, op)), "")
    values = tuple(v.strip() for v in expression.split(sign) if v.strip()) if sign else ()
    hint = Hint(name, sign or _default(name), values or (expression,))
    _check(hint, expression)
    return hint


def _begins(expression: str, sign: str) -> bool:
    """Operators of letters need the space behind them: `s>` is none in the serial `s>9`."""
    return expression.startswith(f"{sign} " if sign.startswith("s") else sign)


def _default(name: str) -> str:
    return "s==" if name in TEXTS else "=="


def _check(hint: Hint, expression: str) -> None:
    unclear = AgentError(f"the root device hint '{hint.name}' cannot be read: {expression}")
    if hint.operator != OR and len(hint.values) != 1:
        raise unclear
    if hint.name == FLAG:
        if hint.operator != "==" or hint.values[0] not in TRUE + FALSE:
            raise unclear
    elif hint.name in NUMBERS:
        if hint.operator not in (*NUMBER_OPERATORS, OR) or not all(map(_is_number, hint.values)):
            raise unclear
    elif hint.operator in NUMBER_OPERATORS:
        raise unclear


def _is_number(text: str) -> bool:
    whole, _, part = text.partition(".")
    return (whole + part).isascii() and (whole + part).isdigit()


def _compare_size(size: int, sign: str, wanted: float) -> bool:
    """Sizes are whole GiB, as operators and Ironic's inspection write them."""
    return NUMBER_OPERATORS["==" if sign == OR else sign](size // GIB, wanted)


def _text_of(disk: Disk, name: str) -> str:
    return (disk.device if name == "name" else str(getattr(disk, name))).lower()


def _compare_text(text: str, sign: str, wanted: str) -> bool:
    return bool(text) and TEXT_OPERATORS["s==" if sign == OR else sign](text, wanted)
