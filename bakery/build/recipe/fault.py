"""What is wrong with a recipe: one line that names file, line and key."""

import re
from pathlib import Path

from bakery.host.errors import UsageError
from bakery.host.printable import shown
from bakery.host.problem import Problem

Place = tuple[str | int, ...]
"""Where a value stands: keys, and numbers within arrays."""

_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Fault(Exception):
    """Ends the reading at `line` (from 1; 0: no line can be named), of the value at `place`."""

    def __init__(self, line: int, place: Place, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.place = place
        self.reason = reason
        self.hint = hint

    def error(self, path: Path) -> UsageError:
        """The problem as a user sees it: `lab.toml:7: kernel_arg: no such key`."""
        file = f"{path}:{self.line}" if self.line else str(path)
        problem = Problem((file, dotted(self.place)), self.reason, self.hint)
        return UsageError(str(problem), problem.hint)


def dotted(place: Place) -> str:
    """The keys as one writes them in TOML; numbers are left out, since the line tells which."""
    names = [part for part in place if isinstance(part, str)]
    return ".".join(name if _BARE.fullmatch(name) else shown(name) for name in names)
