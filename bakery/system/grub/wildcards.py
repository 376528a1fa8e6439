"""Paths that match a pattern, as GRUB's regexp module finds them (commands/wildcard.c)."""

import re
from collections.abc import Callable

from bakery.host.errors import BakeryError

PATHS_LIMIT = 1000

Names = Callable[[str], tuple[str, ...] | None]
"""The names in a folder, which ends in a slash; None where there is none."""


def matching(pattern: str, names: Names, exists: Callable[[str], bool]) -> list[str] | None:
    """The paths that match; None where this is no pattern, or nothing matches.

    `*` and `?` stand for anything but a slash, where no backslash is in front of them. BakeryError
    where a device's name is a pattern, for nobody knows the devices of the machine to come.
    """
    if not re.match(r"[/(*]", pattern) or not _has_wildcard(pattern):
        return None
    device = re.match(r"\(?[^/)]*", pattern)
    if device and _has_wildcard(device[0]):
        raise BakeryError(
            f"GRUB's script asks for all devices that match {pattern[:80]}, "
            "which depends on the machine it runs on"
        )
    paths = [""]
    matched = False
    for part in re.findall(r"(?:[^\\/]|\\.)*/|(?:[^\\/]|\\.)+", pattern, re.DOTALL):
        name, slash = part.removesuffix("/"), part.endswith("/")
        if not _has_wildcard(name):
            paths = [path + _plain(name) for path in paths]
            paths = [path for path in paths if not matched or not name or exists(path)]
        else:
            regex, matched = _regex(name), True
            paths = [
                path + found
                for path in paths
                for found in names(path) or ()
                if regex.fullmatch(found)
            ]
        if len(paths) > PATHS_LIMIT:
            raise BakeryError(f"a pattern of GRUB's matches more than {PATHS_LIMIT} paths")
        paths = [path + "/" for path in paths] if slash else paths
    return paths or None


def _has_wildcard(text: str) -> bool:
    return bool(re.search(r"[*?]", re.sub(r"\\.", "", text, flags=re.DOTALL)))


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _regex(text: str) -> re.Pattern[str]:
    """The pattern of a name; runs of stars are one, so that none takes for ever."""
    pieces = re.findall(r"\\.|\*+|.", text, re.DOTALL)
    stars = sum(piece[0] == "*" for piece in pieces)
    if stars > 4:
        raise BakeryError("a pattern of GRUB's holds more than 4 stars")
    return re.compile(
        "".join(".*" if p[0] == "*" else "." if p == "?" else re.escape(p[-1]) for p in pieces),
        re.DOTALL,
    )
