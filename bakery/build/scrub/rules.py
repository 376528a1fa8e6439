"""What is looked for in an image: rules.toml beside this file, and the user's own.

A path is absolute in the running system, or begins with `~/` for every user's home. `*`, `?` and
`[…]` match within one name (fnmatch(3)); `**` stands for all that lies below a folder.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bakery.host.errors import BakeryError

BUILT_IN = Path(__file__).with_name("rules.toml")
HOME = "~/"
BELOW = "**"

Action = Literal["remove", "empty", "blank"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for, why, and what becomes of it.

    `remove` takes a file or a whole folder away; `empty` leaves the file without content; `blank`
    writes zeros over a swap file behind its header.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    why: Annotated[str, msgspec.Meta(min_length=1)]
    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    action: Action = "remove"
    keep: tuple[str, ...] = ()
    """Paths that the rule leaves as they are."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[Rule, ...] = ()
    off: tuple[str, ...] = ()
    """Names of built-in rules that are not wanted."""


def load(own: Path | None = None) -> tuple[Rule, ...]:
    """All rules, in the order in which they take: the user's own before the built-in.

    A rule of the user's takes the place of the built-in ones of its name. BakeryError with the
    file and what is wrong in it.
    """
    built_in = _read(BUILT_IN).rule
    if own is None:
        return built_in
    given = _read(own)
    known = {rule.name for rule in built_in}
    for name in given.off:
        if name not in known:
            raise BakeryError(
                f"{own}: off: there is no rule {name!r}", f"there are: {', '.join(sorted(known))}"
            )
    replaced = {rule.name for rule in given.rule} | set(given.off)
    return given.rule + tuple(rule for rule in built_in if rule.name not in replaced)


def _read(path: Path) -> _File:
    try:
        document = tomllib.loads(path.read_text())
        file = msgspec.convert(document, _File)
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise BakeryError(
            f"{path}: {error}", "docs/scrub.md shows how to write your own rules"
        ) from error
    except (ValueError, RecursionError) as error:  # what tomllib cannot read, however it says so
        raise BakeryError(f"{path} is not TOML: {error}") from error
    for rule in file.rule:
        for pattern in (*rule.paths, *rule.keep):
            problem = _problem(pattern)
            if problem:
                raise BakeryError(f"{path}: rule {rule.name!r}: {pattern!r} {problem}")
    return file


def _problem(pattern: str) -> str | None:
    """Why a path cannot be looked for, or None."""
    if not pattern.startswith(("/", HOME)):
        return "is neither absolute nor begins with ~/"
    words = parts(pattern)
    if not words:
        return "is everything there is"
    if any(word in ("", ".", "..") for word in words):
        return "holds an empty name, or . or .."
    if not pattern.isprintable():
        return "holds characters that are not printable"
    return None


def parts(pattern: str) -> Sequence[str]:
    """The names of a path, without the `~` or the root it begins with."""
    bare = pattern.removeprefix("~").strip("/")
    return bare.split("/") if bare else ()
