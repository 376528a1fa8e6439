"""What a step of a runbook is: how to see whether it is done, and how to do it."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError

State = Literal["done", "open", "busy", "failed"]


class Command(msgspec.Struct, frozen=True):
    """One program call: its words, its folder (empty: the current one) and its longest time.

    `needs` names what earlier steps learn; it stands in the words as `{name}`.
    """

    argv: tuple[str, ...]
    folder: str = ""
    seconds: float = 120.0
    needs: tuple[str, ...] = ()

    def filled(self, learned: Mapping[str, str]) -> "Command":
        """The command with what was learned put in; BakeryError where something is not known."""
        words = list(self.argv)
        for name in self.needs:
            if name not in learned:
                raise BakeryError(f"the {name} is not known yet", "an earlier step provides it")
            words = [word.replace(f"{{{name}}}", learned[name]) for word in words]
        return msgspec.structs.replace(self, argv=tuple(words), needs=())

    @property
    def line(self) -> str:
        """The command as one would type it."""
        line = shlex.join(self.argv)
        return f"cd {shlex.quote(self.folder)} && {line}" if self.folder else line


class Answer(msgspec.Struct, frozen=True):
    """How a command that looks ended, and what it printed."""

    returncode: int
    text: str

    @property
    def value(self) -> object:
        """The JSON it printed; None where it failed or printed none."""
        try:
            return json.loads(self.text) if self.returncode == 0 else None
        except (ValueError, RecursionError):
            return None


class Seen(msgspec.Struct, frozen=True):
    """`open`: the act is needed; `busy`: it was done and has not ended; `failed`: it cannot go on.

    `learned` are facts that later commands need.
    """

    state: State
    why: str = ""
    learned: dict[str, str] = {}


Judge = Callable[[Sequence[Answer]], Seen]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `look` and `judge` tell whether it is done, `act` does it.

    `undo` clears away an act that was begun and did not end. After the act the step is looked at
    for `wait_seconds` until it is done. `skip` is why it is not needed at all.
    """

    name: str
    title: str
    look: tuple[Command, ...] = ()
    judge: Judge
    act: tuple[Command, ...] = ()
    undo: tuple[Command, ...] = ()
    wait_seconds: float = 0.0
    skip: str = ""

    @property
    def digest(self) -> str:
        """What tells that a step of this name does the same as before."""
        lines = [command.line for command in (*self.look, *self.act, *self.undo)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def shown(self) -> list[str]:
        """The step in full, line by line."""
        if self.skip:
            return [f"{self.name}: {self.title}", f"  left out: {self.skip}"]
        lines = [f"{self.name}: {self.title}"]
        lines += [f"  look: {command.line}" for command in self.look]
        lines += [f"  act:  {command.line}" for command in self.act]
        lines += [f"  if it was interrupted: {command.line}" for command in self.undo]
        if self.wait_seconds:
            lines += [f"  then look again for up to {self.wait_seconds:g} s"]
        return lines
