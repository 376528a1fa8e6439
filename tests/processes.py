"""Processes of the machine, found by what they were started with, and their ends awaited."""

import contextlib
import itertools
import os
import random
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

END_SECONDS = 30


def started_with(word: str) -> list[int]:
    """The processes that have `word` among their arguments, or in one of them."""
    return [pid for pid in pids() if word in _command(pid)]


def children(word: str) -> list[int]:
    """Those of them that this process has started."""
    own = str(os.getpid())
    return [pid for pid in started_with(word) if _parent(pid) == own]


def has_ended(pid: int) -> bool:
    """Wait until a process has ended; False where it does not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(END_SECONDS * 1000))
    finally:
        os.close(pidfd)


def killed_after(
    seconds: float, argv: Sequence[str | Path], env: Mapping[str, str] | None = None
) -> bool:
    """Start a program and SIGKILL it, but not its children; whether it was still running.

    `env` is added to ours.
    """
    process = subprocess.Popen(
        argv, env=os.environ | (env or {}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def moments(kills: int, first: float, last: float, seed: int) -> Iterator[float]:
    """When to kill a run that takes `last` seconds: once in each of `kills` equal parts of it.

    The parts come in an order of the seed's, and over again after the last of them.
    """
    chance = random.Random(seed)
    part = (last - first) / kills
    while True:
        for number in chance.sample(range(kills), kills):
            yield first + (number + chance.random()) * part


class Aim:
    """When to kill a run so that some kills fall inside its work, however fast the machine is.

    The first `kills` moments are spread over the whole run. After them the moments are drawn from
    where the work was seen to be: after a kill that found nothing begun, before one that found
    all of it done.
    """

    def __init__(self, first: float, last: float, kills: int, seed: int):
        self._planned = itertools.islice(moments(kills, first, last, seed), kills)
        self._begins, self._ends = first, last
        self._chance = random.Random(seed)

    def next(self) -> float:
        return next(self._planned, None) or self._chance.uniform(self._begins, self._ends)

    def met(self, seconds: float, *, begun: bool, ended: bool) -> None:
        """What a kill at that moment found of the work; the newest counts, a machine changes."""
        if not begun:
            self._begins, self._ends = seconds, max(self._ends, 1.3 * seconds)
        if ended:
            self._begins, self._ends = min(self._begins, seconds / 1.3), seconds


def pids() -> list[int]:
    """All of them, as /proc shows them."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def of(pid: int, file: str) -> bytes:
    """What /proc has in that file of a process; empty where it has ended, or hides it."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _command(pid: int) -> str:
    return of(pid, "cmdline").decode("utf-8", "replace")


def _parent(pid: int) -> str:
    with contextlib.suppress(OSError):
        # Behind the name, which may have anything in it (proc(5)).
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    return ""
