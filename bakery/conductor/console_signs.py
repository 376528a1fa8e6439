"""Signs of a node's own system, read from the file that keeps its console."""

import contextlib
import time
from pathlib import Path

from bakery.conductor.means import Sign
from bakery.host.errors import BakeryError
from bakery.vm.console import READ_BYTES, Lines
from bakery.vm.prove.signs import Ending, Signs
from bakery.vm.prove.texts import TITLES

POLL_SECONDS = 0.1


class ConsoleSigns:
    """Follows the file from a mark on; its lines are judged as `bakery prove` judges them."""

    silence = ""

    def __init__(self, console: Path) -> None:
        self._console = console
        self._at = -1
        self._lines = Lines()
        self._signs = Signs()

    def mark(self) -> int:
        """The bytes there are now; a console without a file has none."""
        with contextlib.suppress(OSError):
            return self._console.stat().st_size
        return 0

    def up(self, mark: int, seconds: float) -> Sign | None:
        """Wait at most so long for a login prompt; BakeryError where the boot failed instead."""
        if self._at < mark:
            self._at, self._lines, self._signs = mark, Lines(), Signs()
        deadline = time.monotonic() + seconds
        while True:
            ending = self._look()
            if ending and ending.outcome == "login":
                return Sign("login", f"login reached: {ending.words}")
            if ending:
                # What comes next belongs to another start.
                self._at, self._lines, self._signs = self.mark(), Lines(), Signs()
                raise BakeryError(
                    f"{TITLES[ending.outcome]}: {ending.words}", f"the console: {self._console}"
                )
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_SECONDS)

    def _look(self) -> Ending | None:
        """Read what is new."""
        try:
            with self._console.open("rb") as file:
                file.seek(self._at)
                while piece := file.read(READ_BYTES):
                    self._at += len(piece)
                    for line in self._lines.feed(piece):
                        if found := self._signs.line(line):
                            return found
        except OSError:
            return None
        return self._signs.prompt(self._lines.partial)
