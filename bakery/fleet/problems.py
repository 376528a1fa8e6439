"""What is wrong with a description of nodes: each with the node and the field it is about."""

import difflib
from collections.abc import Iterable

import msgspec

KEPT = 1000
"""So many are kept; the rest is counted."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, at `field` (a path such as `ports[0].address`) of `node`."""

    node: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.node, self.field, self.message) if part)


class Problems:
    """Everything that is wrong, in the order it was found."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, problem: Problem) -> None:
        """One more."""
        self.count += 1
        if len(self.found) < KEPT:
            self.found.append(problem)


class Spot:
    """A place in a description, where something may be wrong."""

    def __init__(self, problems: Problems, node: str = "", field: str = "") -> None:
        self.problems = problems
        self.node = node
        self.field = field

    def at(self, key: object) -> "Spot":
        """The place of a key of this mapping, or of an index of this list."""
        if isinstance(key, int):
            return Spot(self.problems, self.node, f"{self.field}[{key}]")
        return Spot(self.problems, self.node, f"{self.field}.{key}" if self.field else f"{key}")

    def wrong(self, message: str) -> None:
        """Something is, here."""
        self.problems.add(Problem(self.node, self.field, message))


def nearest(word: object, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """The known word that was probably meant, or an empty text."""
    found = difflib.get_close_matches(f"{word}", sorted(known), n=1, cutoff=cutoff)
    return found[0] if found else ""


def meant(word: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: what was probably meant, else what there is."""
    choice = sorted(known)
    near = nearest(word, choice)
    if near:
        return f"did you mean {near!r}?"
    more = ", …" if len(choice) > SHOWN else ""
    return f"there is: {', '.join(choice[:SHOWN])}{more}" if choice else "there is none"


SHOWN = 12


def shown(value: object) -> str:
    """A value out of a file as one short, printable text."""
    text = repr(value)
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "…"


TEXT_LIMIT = 60
