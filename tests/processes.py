"""Processes of the machine, found by what they were started with, and their ends awaited."""

import os
import select
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


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
