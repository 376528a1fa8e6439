"""What is wrong with a description of nodes: each with the node and the field it is about."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from bakery.host.problem import Problem

KEPT = 1000
"""Number of problems that are kept; the rest is counted."""
SHOWN = 12


class Problems:
    """Everything that is wrong, in the order it was found.

    The place of each is a node and a field of it, a path such as `ports[0].address`; both may be
    empty.
    """

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


@dataclass
class Spot:
    """A place in a description, where something may be wrong."""

    problems: Problems
    node: str = ""
    field: str = ""

    def at(self, key: object) -> "Spot":
        """The place of a key of this mapping, or of an index of this list."""
        if isinstance(key, int):
            return Spot(self.problems, self.node, f"{self.field}[{key}]")
        return Spot(self.problems, self.node, f"{self.field}.{key}" if self.field else f"{key}")

    def wrong(self, message: str) -> None:
        """Something is, here."""
        self.problems.add(Problem((self.node, self.field), message))


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
    return f"choose from: {', '.join(choice[:SHOWN])}{more}" if choice else "there are none"
