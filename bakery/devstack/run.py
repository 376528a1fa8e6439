"""Carrying a runbook out: look, act, look again, step by step.

What is done is seen, not remembered: each run looks at every step again. The journal adds what
cannot be seen: that an act was begun and cut off.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bakery.devstack.journal import Journal
from bakery.devstack.steps import Answer, Command, Seen, Step
from bakery.host import folders, run
from bakery.host.errors import BakeryError, MissingTool

POLL_SECONDS = 10.0
OUTPUT_LIMIT_BYTES = 1 << 30

Tell = Callable[[str], None]


class Runner:
    """Runs steps; what acts print goes to the file `log`, what is shown to `tell`."""

    def __init__(
        self, journal: Journal, log: Path, tell: Tell, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.journal = journal
        self.log = log
        self.tell = tell
        self.poll_seconds = poll_seconds
        self.learned: dict[str, str] = {}

    def run(self, steps: Sequence[Step]) -> None:
        """Do all steps in order; BakeryError names the step that did not come to its end."""
        for number, step in enumerate(steps, 1):
            head, *rest = step.shown()
            self.tell("\n".join([f"{number}/{len(steps)} {head}", *rest]))
            if step.skip:
                continue
            try:
                seen = self._run(step)
            except BakeryError as error:
                raise BakeryError(
                    f"step {step.name}: {error.message}",
                    error.hint
                    or f"{self.log} has its output; run the same command again to continue",
                ) from error
            self.learned |= seen.learned
            self.journal.note(step, "done")
            self.tell(f"{step.name}: done" + (f" ({seen.why})" if seen.why else ""))

    def _run(self, step: Step) -> Seen:
        seen = self._look(step)
        if seen.state == "open":
            self._clear(step)
            self.journal.note(step, "begun")
            self._act(step.act)
            seen = self._look(step)
        return self._wait(step, seen)

    def _clear(self, step: Step) -> None:
        """Undo an act that was cut off; BakeryError where one that ended well is seen no more."""
        entry = self.journal.entry(step)
        if entry and entry.state == "begun":
            self._act(step.undo)
        elif entry and step.undo:
            raise BakeryError(
                "it was done before, but its result is gone",
                f"find out what became of it; to redo it: rm {self.journal.path}",
            )

    def _wait(self, step: Step, seen: Seen) -> Seen:
        """Look until the step is done; at least once more than it was."""
        deadline = time.monotonic() + step.wait_seconds
        while seen.state in ("open", "busy") and time.monotonic() < deadline:
            time.sleep(self.poll_seconds)
            seen = self._look(step)
        if seen.state != "done":
            raise BakeryError(seen.why or "it was done, but its result does not show")
        return seen

    def _look(self, step: Step) -> Seen:
        return step.judge([look(command, self.learned) for command in step.look])

    def _act(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self._call(command.filled(self.learned))

    def _call(self, command: Command) -> None:
        # Unbuffered: who follows it sees each piece at once.
        with os.fdopen(folders.open_end(self.log), "ab", buffering=0) as log:
            log.write(f"$ {command.line}\n".encode())

            def keep(piece: bytes) -> None:
                log.write(piece)

            run.run(
                command.argv,
                cwd=_folder(command),
                timeout=command.seconds,
                on_stdout=keep,
                output_limit=OUTPUT_LIMIT_BYTES,
            )


def look(command: Command, learned: Mapping[str, str]) -> Answer:
    """Run a command that looks; a program that is not there, or gives no end, sees nothing done."""
    filled = command.filled(learned)
    try:
        done = run.run(filled.argv, cwd=_folder(filled), timeout=filled.seconds, check=False)
    except MissingTool as error:
        return Answer(127, error.message)
    except run.CommandFailed as error:
        return Answer(error.returncode, error.message)
    return Answer(done.returncode, done.text)


def _folder(command: Command) -> Path | None:
    """The command's folder, which must be there."""
    if not command.folder:
        return None
    folder = Path(command.folder)
    if not folder.is_dir():
        raise BakeryError(
            f"{folder} is not a folder", "--devstack takes the folder that holds stack.sh"
        )
    return folder
