"""What work tells about itself: a stream of events, and three ways to show it.

The worker only emits; printing is a sink's job. On a terminal rich draws a live line for each
running step, elsewhere a line is written per event, and with --json each event is one JSON
object on a line. All talk goes to standard error: standard output belongs to results.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Literal

from bakery.host.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.progress import TaskID

Kind = Literal["started", "progress", "note", "finished", "failed"]
ENDS = ("finished", "failed")
PROGRESS_INTERVAL_SECONDS = 0.1


@dataclass(frozen=True)
class Event:
    """One thing that happened to a step (a stage of a build, a node, a download).

    `done_bytes` and `total_bytes` are 0 where nothing is counted; `seconds` is the wall time
    since the step started.
    """

    kind: Kind
    step: str
    text: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    seconds: float = 0.0


Sink = Callable[[Event], None]


class Step:
    """A running step: emits its own progress and notes."""

    def __init__(self, name: str, sink: Sink, interval_seconds: float) -> None:
        self.name = name
        self.started = time.monotonic()
        self._sink = sink
        self._interval_seconds = interval_seconds
        self._last = 0.0
        self._done = (0, 0)
        self._summary = ""

    @property
    def seconds(self) -> float:
        """Wall seconds since the step started."""
        return time.monotonic() - self.started

    def progress(self, done_bytes: int, total_bytes: int = 0, text: str = "") -> None:
        """Tell how far the step is; one event an interval passes, and the last one always.

        `text` is what there is to say besides the numbers, such as a rate.
        """
        self._done = (done_bytes, total_bytes)
        now = time.monotonic()
        if now - self._last >= self._interval_seconds or done_bytes == total_bytes:
            self._last = now
            self.emit("progress", text)

    def note(self, text: str) -> None:
        """Tell something worth reading while the step runs."""
        self.emit("note", text)

    def summary(self, text: str) -> None:
        """What the line that closes the step will say."""
        self._summary = text

    def emit(self, kind: Kind, text: str = "") -> None:
        """Send one event of this step to the sink."""
        self._sink(Event(kind, self.name, text, *self._done, round(self.seconds, 3)))

    def finish(self) -> None:
        """Send the closing event."""
        self.emit("finished", self._summary)


class Report:
    """Hands out steps; everything that does long work takes one of these."""

    def __init__(self, sink: Sink, interval_seconds: float = PROGRESS_INTERVAL_SECONDS) -> None:
        self._sink = sink
        self._interval_seconds = interval_seconds

    @contextlib.contextmanager
    def step(self, name: str, text: str = "") -> Iterator[Step]:
        """A step for the length of the `with` block; an exception makes it `failed`."""
        step = Step(name, self._sink, self._interval_seconds)
        step.emit("started", text)
        try:
            yield step
        except BaseException as error:
            step.emit("failed", str(error) or type(error).__name__)
            raise
        step.finish()

    def relay(self, event: Event) -> None:
        """Pass on what another process told."""
        self._sink(event)

    def note(self, text: str, step: str = "") -> None:
        """Tell something that belongs to no running step."""
        self._sink(Event("note", step, text))


def pace(done_bytes: int, total_bytes: int, seconds: float) -> str:
    """The rate of what was done in `seconds`, and how long the rest will take at that."""
    if seconds <= 0 or done_bytes <= 0:
        return ""
    rate = done_bytes / seconds
    left = f", {(total_bytes - done_bytes) / rate:.0f} s left" if total_bytes > done_bytes else ""
    return f"{rate / 1e6:.0f} MB/s{left}"


def silent() -> Report:
    """A report that nobody reads."""
    return Report(lambda _event: None)


def json_sink(stream: IO[str]) -> Sink:
    """One JSON object a line (JSON Lines)."""

    def emit(event: Event) -> None:
        stream.write(printable_json(asdict(event)) + "\n")
        stream.flush()

    return emit


def lines_sink(stream: IO[str], *, quiet: bool = False) -> Sink:
    """One plain line per event, without progress; `quiet` keeps failures alone."""

    def emit(event: Event) -> None:
        if event.kind == "progress" or (quiet and event.kind != "failed"):
            return
        stream.write(line(event) + "\n")
        stream.flush()

    return emit


def line(event: Event) -> str:
    """An event as one line of text: what is told may come out of an image or a server."""
    mark = {"started": "…", "finished": "done", "failed": "FAILED"}.get(event.kind, "")
    parts = [f"{event.step}:" if event.step else "", mark, event.text]
    if event.kind in ENDS:
        parts.append(f"({event.seconds:.1f} s)")
    return printable(" ".join(filter(None, parts)))


class LiveSink:
    """Live progress on a terminal, one line a running step, and a lasting line for each end."""

    def __init__(self, stream: IO[str]) -> None:
        from rich import progress
        from rich.console import Console
        from rich.table import Column

        one_line = Column(no_wrap=True, overflow="ellipsis")
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.fields[step]}", style="bold"),
            # What is told may come out of a guest: no markup, and one line alone.
            progress.TextColumn("{task.description}", markup=False, table_column=one_line),
            progress.BarColumn(bar_width=24),
            progress.DownloadColumn(),
            progress.TimeElapsedColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if event.kind == "started":
            self._tasks[event.step] = self._progress.add_task(
                printable(event.text), total=None, step=printable(event.step)
            )
        elif event.kind == "progress" and event.step in self._tasks:
            task = self._tasks[event.step]
            self._progress.update(task, completed=event.done_bytes, total=event.total_bytes or None)
            if event.text:
                self._progress.update(task, description=printable(event.text))
        elif event.kind != "progress":
            self._close_task(event)
            self._print(event)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Leave the terminal to somebody else for the length of the `with` block."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()

    def _close_task(self, event: Event) -> None:
        if event.kind in ENDS and event.step in self._tasks:
            self._progress.remove_task(self._tasks.pop(event.step))

    def _print(self, event: Event) -> None:
        from rich.text import Text

        marks = {"finished": ("✓ ", "green"), "failed": ("✗ ", "red")}
        mark = marks.get(event.kind, ("· ", "dim"))
        step = (f"{printable(event.step):<10}" if event.step else "", "bold")
        took = (f"  {event.seconds:.1f} s" if event.kind in ENDS else "", "dim")
        self._progress.console.print(Text.assemble(mark, step, printable(event.text), took))
