"""What a console says about a boot, read line by line: how it ended, or why it does not."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bakery.vm.prove import texts
from bakery.vm.prove.texts import Outcome

FAILURES_LIMIT = 64
# A question that a program may answer, such as one for a passphrase, is answered in seconds.
PATIENCE_SECONDS = 50.0
# Whoever prints the beginning of a line and nothing for so long is taken to wait for an answer.
SILENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Ending:
    """How a boot ended, and the console's own words for it."""

    outcome: Outcome
    words: str


class Signs:
    """Reads a console in order and tells when the boot has ended.

    `line` takes what is whole; `prompt` is asked again and again about the line that is open, a
    few times a second, since time decides too: a question ends the boot when nothing has followed
    it for `patience_seconds`, an unknown one after `silence_seconds`, by `clock` (seconds).
    `seeking_root` is True while the initramfs waits for the root filesystem's device.
    """

    def __init__(
        self,
        patience_seconds: float = PATIENCE_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.last_line = ""
        self._patience_seconds = patience_seconds
        self._silence_seconds = silence_seconds
        self._clock = clock
        self.seeking_root = False
        self._waiting = ""
        self._causes: dict[Outcome, str] = {}
        self._failures: list[str] = []
        self._pending: Ending | None = None
        self._pending_since = 0.0
        self._open = ""
        self._open_since = 0.0

    @property
    def cause(self) -> str:
        """The best reason so far for a boot that does not arrive; may be empty."""
        named = self._causes.get("no-root") or self._failed
        return named or self._waiting or self._causes.get("no-boot", "")

    @property
    def _failed(self) -> str:
        """The first failure, which drags the others along, and the first mount that failed."""
        mounts = [text for text in self._failures if texts.MOUNT.search(text)]
        return "; ".join(dict.fromkeys([*self._failures[:1], *mounts[:1]]))

    def line(self, text: str) -> Ending | None:
        """Take one whole line."""
        text = text.strip()
        self._open = ""
        if not text:
            return None
        self.last_line = text
        self._forget(text)
        self._learn(text)
        return self._ended(text) or self._overdue()

    def prompt(self, text: str) -> Ending | None:
        """Look at the line that is still open; a panic's line is waited for until it is whole."""
        if text != self._open:
            self._open, self._open_since = text, self._clock()
        found = self._ended(text.strip("\t")) if text.strip() else None
        if found and found.outcome != "panic":
            return found
        return self._overdue() or self._unanswered()

    @property
    def pending(self) -> Ending | None:
        """What the boot ends in unless something follows yet: a question, a root in vain."""
        return self._pending and self._judge(self._pending.outcome, self._pending.words)

    def _forget(self, text: str) -> None:
        """Waits that are over, questions that were answered and what did no harm tell nothing."""
        found = texts.ROOT_FOUND.search(text)
        if found:
            self.seeking_root = False
            self._causes.pop("no-root", None)
        if texts.ROOT_LEFT.search(text):
            self._failures.clear()
        if texts.PROGRESS.search(text) or found:
            self._waiting = ""
            self._pending_since = self._clock()
        if self._pending and (found or self._answered(self._pending, text)):
            self._pending = None

    @staticmethod
    def _answered(pending: Ending, text: str) -> bool:
        over = texts.OVER.get(pending.outcome)
        return bool(over and over.search(text))

    def _learn(self, text: str) -> None:
        for outcome, pattern, template in texts.CAUSES:
            found = pattern.search(text)
            if found and outcome != "emergency":
                self._causes.setdefault(outcome, found.expand(template))
            elif found and len(self._failures) < FAILURES_LIMIT:
                self._failures.append(found.expand(template).rstrip("."))
        if texts.ROOT_SOUGHT.search(text):
            self.seeking_root = True
        waiting = texts.WAITING.search(text)
        if waiting:
            self._waiting = waiting[0]

    def _ended(self, text: str) -> Ending | None:
        """The end that `text` tells; a wait that begins with it is kept in mind."""
        for outcome, pattern in texts.ENDS:
            if found := pattern.search(text):
                return self._judge(outcome, found[0].strip())
        for outcome, pattern in texts.WAITS:
            if found := pattern.search(text):
                pending = Ending(outcome, found[0].strip())
                if self._pending != pending:
                    self._pending, self._pending_since = pending, self._clock()
                break
        return None

    def _overdue(self) -> Ending | None:
        over = self._clock() - self._pending_since >= self._patience_seconds
        return self.pending if over else None

    def _unanswered(self) -> Ending | None:
        still = self._clock() - self._open_since >= self._silence_seconds
        if still and texts.QUESTION.search(self._open):
            return Ending("asks", self._open.strip())
        return None

    def _judge(self, outcome: Outcome, words: str) -> Ending:
        """An emergency shell for want of the root filesystem is named for that want."""
        if outcome in ("emergency", "no-root") and "no-root" in self._causes:
            return Ending("no-root", self._causes["no-root"])
        if outcome == "emergency":
            rootless = any(texts.ROOT_MOUNT.search(failure) for failure in self._failures)
            reason = self._failed or self._waiting or words
            return Ending("no-root" if rootless else outcome, reason)
        if outcome == "no-boot":
            return Ending(outcome, self._causes.get("no-boot") or words)
        return Ending(outcome, words)
