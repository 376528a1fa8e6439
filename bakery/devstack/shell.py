"""The localrc part of a local.conf: its assignments and devstack's own functions.

A localrc is sourced by bash and may hold any program. What is read here is what localrcs are made
of: `NAME=value`, `export NAME=value`, and calls such as `enable_service a b`; everything else is
passed over, and nothing is ever run.
"""

import re
import shlex
from collections.abc import Sequence

import msgspec

from bakery.devstack.metaconf import Line

_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)(\+?)=(.*)", re.DOTALL)
_SPACED = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*(\s+=|=\s+\S)")
_REFERENCE = re.compile(
    r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))"
)
FUNCTIONS = ("enable_service", "disable_service", "enable_plugin", "disable_all_services")


class Value(msgspec.Struct, frozen=True):
    """A setting's last value: expanded where it can be, and the line that set it."""

    line: int
    text: str
    is_known: bool
    """False where it refers to what only bash knows."""


class Call(msgspec.Struct, frozen=True):
    """A call of one of FUNCTIONS, with its words."""

    line: int
    name: str
    words: tuple[str, ...]


class Localrc(msgspec.Struct, frozen=True):
    """What a localrc sets and calls."""

    values: dict[str, Value]
    calls: tuple[Call, ...]
    spaced: tuple[Line, ...]
    """Lines with a blank beside `=`, which bash takes for a command."""

    def text(self, name: str, default: str = "") -> str:
        """The setting's text; `default` where it is not set or not known."""
        found = self.values.get(name)
        return found.text if found and found.is_known else default

    def line(self, name: str) -> int:
        """The line of a setting, 0 where it is not set."""
        found = self.values.get(name)
        return found.line if found else 0

    def plugins(self, name: str) -> list[Call]:
        """The calls that enable the plugin of that name."""
        wanted = ("enable_plugin", (name,))
        return [call for call in self.calls if (call.name, call.words[:1]) == wanted]

    def enabled(self, service: str) -> bool | None:
        """What the last call that names a service made of it; None where none does."""
        state = None
        for call in self.calls:
            if call.name == "disable_all_services":
                state = False
            elif call.name in ("enable_service", "disable_service"):
                named = {part for word in call.words for part in word.split(",")}
                state = call.name == "enable_service" if service in named else state
        return state


def read(lines: Sequence[Line]) -> Localrc:
    """Read a localrc's lines; nothing is refused."""
    values: dict[str, Value] = {}
    calls: list[Call] = []
    spaced: list[Line] = []
    for line in _joined(lines):
        words = _words(line.text)
        if not words:
            continue
        if _SPACED.match(line.text.strip()) and words[0] not in FUNCTIONS:
            spaced.append(line)
        elif words[0] in FUNCTIONS:
            expanded = tuple(_expand(word, values)[0] for word in words[1:])
            calls.append(Call(line.number, words[0], expanded))
        else:
            _assign(line, words, values)
    return Localrc(values, tuple(calls), tuple(spaced))


def _joined(lines: Sequence[Line]) -> list[Line]:
    """Lines with a closing backslash joined to their next, as bash does."""
    found: list[Line] = []
    held = ""
    start = 0
    for line in lines:
        start = start or line.number
        if line.text.endswith("\\"):
            held += line.text[:-1]
            continue
        found.append(Line(start, held + line.text))
        held, start = "", 0
    return [*found, Line(start, held)] if held else found


def _words(text: str) -> list[str]:
    """The shell words of a line, comments gone; none where its quotes do not close."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return []


def _assign(line: Line, words: list[str], values: dict[str, Value]) -> None:
    """Take one assignment, where the line is one."""
    words = words[1:] if words[0] == "export" else words
    matched = _ASSIGNMENT.fullmatch(words[0]) if len(words) == 1 else None
    if not matched:
        return
    name, adds, text = matched.groups()
    is_literal = "'" in line.text and '"' not in line.text
    expanded, known = (text, True) if is_literal else _expand(text, values)
    if adds and name in values:
        expanded, known = values[name].text + expanded, known and values[name].is_known
    values[name] = Value(line.number, expanded, known)


def _expand(text: str, values: dict[str, Value]) -> tuple[str, bool]:
    """`text` with what was set before put in, and whether nothing of it stayed unknown."""
    known = "`" not in text and "$(" not in text

    def put(matched: re.Match[str]) -> str:
        nonlocal known
        name = matched[1] or matched[3]
        if name in values and values[name].text:
            known = known and values[name].is_known
            return values[name].text
        if matched[2] is not None:
            return matched[2]
        known = False
        return matched[0]

    return _REFERENCE.sub(put, text), known
