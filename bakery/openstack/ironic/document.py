"""A YAML or JSON file that somebody else wrote, as a plain tree: bounded, and never executed.

What a file can hold is what JSON can: text, numbers, true and false, null, lists, mappings with
texts for keys. YAML is read as `openstack baremetal create` reads it (YAML 1.1, PyYAML's safe
loader), but for two of its traps: a number in base 60 (`52:54:00:12:34:56` is one) and a date stay
text. A key that appears twice is refused. No message repeats what stands in the file, for that
may be a password.
"""

import functools
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bakery.host.errors import BakeryError

SIZE_LIMIT_BYTES = 32 << 20
VALUES_LIMIT = 2_000_000
"""Number of values, each counted as often as an alias repeats it."""
NESTING = "nesting depth"  # in libyaml's own words
DEPTH_LIMIT = 40
MERGE = "<<"
CORE_TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = frozenset(CORE_TAG + kind for kind in ("str", "int", "float", "bool", "null"))
# YAML 1.1 (https://yaml.org/type/int.html, /float.html) without base 60.
INTEGER = re.compile(r"^[-+]?(?:0b[01_]+|0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
FRACTION = re.compile(
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
DROPPED = frozenset(CORE_TAG + kind for kind in ("int", "float", "timestamp"))


class Unreadable(BakeryError):
    """The file cannot be read, or is none of the kind."""


class Document(NamedTuple):
    """A file that was read: its tree, and the text that it is of."""

    tree: object
    text: str


def load(path: Path, *, limit_bytes: int = SIZE_LIMIT_BYTES) -> Document:
    """A file: JSON where its name ends in `.json`, else YAML. Raises Unreadable."""
    text = _text(path, limit_bytes)
    try:
        tree = _json(text) if path.suffix == ".json" else _yaml(text)
        _check(tree)
    except _Bad as bad:
        raise Unreadable(f"{path}: {bad.message}", bad.hint) from None
    return Document(tree, text)


class _Bad(BakeryError):
    """What is wrong with the text, without the file's name."""


def _text(path: Path, limit_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror}") from error
    if len(content) > limit_bytes:
        raise Unreadable(
            f"{path} is larger than {limit_bytes >> 20} MiB", "describe fewer nodes in a file"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not text: byte {error.start} is not UTF-8") from None


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _Bad(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _Bad("it is nested too deeply") from None
    except ValueError:  # more digits than Python converts
        raise _Bad("a number in it is too large") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for index, key in enumerate(keys) if key in keys[:index])
        raise _Bad(f"the key {twice!r} appears twice in one mapping")
    return mapping


def _yaml(text: str) -> object:
    import yaml

    loader = safe_loader()
    try:
        _measure(text, loader)
        return yaml.load(text, Loader=loader)  # noqa: S506 - made of the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = error.problem or "not YAML"
        # libyaml has counted for itself since 0.2.6, ahead of the events that are counted here
        raise _Bad(where + ("it is nested too deeply" if NESTING in problem else problem)) from None
    except yaml.YAMLError as error:
        raise _Bad(f"not YAML: {getattr(error, 'reason', 'it cannot be read')}") from None
    except (ValueError, RecursionError):
        raise _Bad("a number in it is too large, or it is nested too deeply") from None


@functools.cache
def safe_loader() -> Any:  # noqa: ANN401 - PyYAML has no types
    """PyYAML's safe loader, in C where it is there, that takes no date and no base 60."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in DROPPED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(CORE_TAG + "int", INTEGER, list("-+0123456789"))
    Loader.add_implicit_resolver(CORE_TAG + "float", FRACTION, list("-+0123456789."))
    return Loader


@dataclass
class _Open:
    """A list or mapping that has begun: its values so far, and a mapping's keys."""

    anchor: str | None
    mapping: bool
    values: int = 1
    children: int = 0
    keys: set[str] = field(default_factory=set)


def _measure(text: str, loader: Any) -> None:  # noqa: ANN401
    """Read the text once by its events, and refuse what would grow or hide something."""
    import yaml

    meter = _Meter()
    for event in yaml.parse(text, Loader=loader):
        meter.take(event, event.start_mark.line + 1)


class _Meter:
    """Counts the values of a text, aliases included, as its events come."""

    def __init__(self) -> None:
        self.documents = 0
        self.opened = [_Open(None, mapping=False)]
        self.sizes: dict[str, int] = {}

    def take(self, event: Any, line: int) -> None:  # noqa: ANN401
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self.documents += 1
            if self.documents > 1:
                raise _Bad(f"line {line}: a second document begins")
        elif kind == "MappingStartEvent":
            self._open(event, line, "map")
        elif kind == "SequenceStartEvent":
            self._open(event, line, "seq")
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = self.opened.pop()
            self._add(done.anchor, done.values, line)
        elif kind == "AliasEvent":
            self._alias(event.anchor, line)
        elif kind == "ScalarEvent":
            _plain_tag(event, line, *PLAIN_TAGS)
            self._key(event.value, line)
            self._add(event.anchor, 1, line)

    def _open(self, event: Any, line: int, kind: str) -> None:  # noqa: ANN401
        _plain_tag(event, line, CORE_TAG + kind)
        self.opened.append(_Open(event.anchor, mapping=kind == "map"))
        if len(self.opened) > DEPTH_LIMIT:
            raise _Bad(f"line {line}: it is nested more than {DEPTH_LIMIT} deep")

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self.sizes:
            raise _Bad(
                f"line {line}: an alias of something unfinished",
                "text that begins with * needs quotes",
            )
        self._add(None, self.sizes[anchor], line)

    def _key(self, value: str, line: int) -> None:
        """A scalar at an even place of a mapping is a key."""
        inside = self.opened[-1]
        if not inside.mapping or inside.children % 2 or value == MERGE:
            return
        if value in inside.keys:
            raise _Bad(f"line {line}: a key appears twice in one mapping")
        inside.keys.add(value)

    def _add(self, anchor: str | None, values: int, line: int) -> None:
        """A value of so many is whole: it belongs to the list or mapping that is open."""
        inside = self.opened[-1]
        inside.values += values
        inside.children += 1
        if anchor:
            self.sizes[anchor] = values
        if inside.values > VALUES_LIMIT:
            raise _Bad(f"line {line}: it has more than {VALUES_LIMIT} values")


def _plain_tag(event: Any, line: int, *known: str) -> None:  # noqa: ANN401
    if event.tag not in (None, "!", *known):
        raise _Bad(f"line {line}: a YAML tag", "text that begins with ! needs quotes")


def _check(tree: object) -> None:
    """Refuse what JSON cannot hold: keys that are no text, infinities, halves of characters."""
    waiting: list[tuple[object, int]] = [(tree, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_LIMIT:
            raise _Bad(f"it is nested more than {DEPTH_LIMIT} deep")
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                raise _Bad("a mapping's key is not text", "put it in quotes")
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise _Bad("a number in it is infinite or NaN")
        elif isinstance(value, str) and not value.isascii():
            _whole_characters(value)


def _whole_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Bad("it contains half of a surrogate pair") from None
