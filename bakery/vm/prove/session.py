"""A watched console: its texts as they come, until a deadline, with the newest one shown."""

import time
from collections.abc import Callable, Iterator

from bakery.host.report import Step
from bakery.vm.console import Console

POLL_SECONDS = 0.25
NOTE_SECONDS = 30.0
SHOWN_CHARACTERS = 100


class Session:
    """A console, and the moment (time.monotonic) by which everything must be over.

    `on_output` is called once, with the guest's first output.
    """

    def __init__(
        self, console: Console, step: Step, seconds: float, on_output: Callable[[], None]
    ) -> None:
        self.console = console
        self.deadline = time.monotonic() + seconds
        self._step = step
        self._on_output: Callable[[], None] | None = on_output
        self._shown = 0.0
        self._noted = time.monotonic()
        self._last = ""

    def texts(self, seconds: float | None = None) -> Iterator[tuple[str, bool]]:
        """Console texts, and whether the line is whole; a line still open comes again and again.

        Ends at the deadline, `seconds` from now, or when the console is closed.
        """
        limit = self.deadline
        if seconds is not None:
            limit = min(limit, time.monotonic() + seconds)
        while not self.console.closed and (left := limit - time.monotonic()) > 0:
            for line in self.console.read(min(POLL_SECONDS, left)):
                self._last = line.strip() or self._last
                yield line, True
            self._heard()
            yield self.console.partial, False
            self._show()

    def drain(self, seconds: float) -> None:
        """Keep what else is said within `seconds`, beyond the deadline if need be."""
        limit = time.monotonic() + seconds
        while not self.console.closed and (left := limit - time.monotonic()) > 0:
            self.console.read(left)

    def send(self, text: str) -> None:
        """Type `text` on the console."""
        self.console.send(text)

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.console.closed or time.monotonic() >= self.deadline

    def _heard(self) -> None:
        if self._on_output and self.console.received_bytes:
            self._on_output()
            self._on_output = None

    def _show(self) -> None:
        """The newest line: a few times a second where it is drawn, now and then where it stays."""
        now = time.monotonic()
        text = self._last[:SHOWN_CHARACTERS]
        if now - self._shown >= POLL_SECONDS:
            self._shown = now
            self._step.emit("progress", text)
        if now - self._noted >= NOTE_SECONDS:
            self._noted = now
            self._step.note(f"{self._step.seconds:.0f} s: {text or 'nothing on the console yet'}")
