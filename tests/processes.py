"""Processes of the machine, found by what they were started with, and their ends awaited."""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

END_SECONDS = 30


def started_with(word: str) -> list[int]:
    """The processes that have `word` among their arguments, or in one of them."""
    return [pid for pid in _pids() if word in _command(pid)]


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


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
