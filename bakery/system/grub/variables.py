"""GRUB's variables, each with where its value was written and what fed it."""

from collections.abc import Iterable
from dataclasses import dataclass

from bakery.host.errors import BakeryError
from bakery.system.grub.menu import Place, Variable
from bakery.system.grub.source import decoded

LIMIT = 10_000
ROOM_CHARACTERS = 1 << 20
"""For the values of all variables together."""
FEEDING_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Value:
    """A variable's characters; `fed_by` are the variables that its text came from."""

    text: str
    place: Place | None = None
    fed_by: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that a command gets, the variables that fed it, and the word it is from.

    `word` counts the command's words from 0; it is -1 where the argument is from none of them.
    """

    text: str
    fed_by: tuple[Variable, ...] = ()
    word: int = -1


class Variables:
    """The variables of one context; BakeryError when they grow beyond all bounds.

    A script cannot set `$1`, `$#` and their like: those are of the function that runs.
    """

    def __init__(self, values: dict[str, Value], exported: frozenset[str] = frozenset()) -> None:
        self.values = values
        self.exported = exported
        self._room = ROOM_CHARACTERS - sum(len(value.text) for value in values.values())

    def copy(self) -> "Variables":
        """The same variables, to go on from."""
        return Variables(dict(self.values), self.exported)

    def inner(self, *, everything: bool) -> "Variables":
        """The variables of a context that opens: those that are exported, or all.

        All of them are exported there.
        """
        kept = {n: v for n, v in self.values.items() if everything or n in self.exported}
        return Variables(kept, frozenset(kept))

    def get(self, name: str) -> str | None:
        """A variable's text; None where it is not set."""
        value = self.values.get(name)
        return None if value is None else value.text

    def set(self, name: str, value: Value) -> None:
        """Sets a variable. `root` goes without the brackets round a device."""
        text = value.text
        if name == "root" and text.startswith("(") and text.endswith(")"):
            value = Value(text[1:-1], value.place, value.fed_by)
        old = self.values.get(name)
        self._room -= len(value.text) - (len(old.text) if old else 0)
        if self._room < 0 or len(self.values) > LIMIT:
            raise BakeryError("GRUB's scripts set variables out of all proportion")
        self.values[name] = value

    def put(self, name: str, text: str) -> None:
        """Sets a variable to what no file says."""
        self.set(name, Value(text))

    def unset(self, name: str) -> None:
        """Takes a variable away."""
        if name == "root":
            self.put(name, "")
            return
        old = self.values.pop(name, None)
        self.exported -= {name}
        self._room += len(old.text) if old else 0

    def export(self, name: str) -> None:
        """Hands a variable on to the contexts that open inside this one."""
        if name not in self.values:
            self.put(name, "")
        self.exported |= {name}

    def named(self, name: str) -> tuple[Variable, ...]:
        """The variable, and what fed it, for what it is put into."""
        value = self.values.get(name)
        if value is None or name == "?":
            return ()
        return merged([(Variable(name, decoded(value.text), value.place), *value.fed_by)])


def merged(groups: Iterable[tuple[Variable, ...]]) -> tuple[Variable, ...]:
    """All variables of these, each place once; BakeryError where there are too many."""
    found = {(one.name, one.place): one for group in groups for one in group}
    if len(found) > FEEDING_LIMIT:
        raise BakeryError(
            f"more than {FEEDING_LIMIT} variables make up the text of one of GRUB's commands"
        )
    return tuple(found.values())
