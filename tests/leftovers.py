"""Processes and mounts that a test left behind."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
SETTLE_SECONDS = 20


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that it stays in sight."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def alive(pid: int) -> bool:
    """Whether a process is there and runs; a zombie does not."""
    return _state_and_parent(pid)[0] not in ("", "Z", "X")


def present() -> set[str]:
    """The living descendants of this process, and the machine's FUSE mounts."""
    return set(_descendants()) | set(_fuse_mounts())


def left_since(before: set[str]) -> set[str]:
    """What was not there `before` and is still there after a generous while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := present() - before) and time.monotonic() < deadline:
        _reap_orphans()
        time.sleep(0.05)
    return left


def _reap_orphans() -> None:
    """Take leave of adopted children that have ended, as init would.

    Whoever watches one of them by its number would take it for alive: libguestfs has a process
    that waits so for the end of its appliance.
    """
    for name in _pids():
        if _state_and_parent(int(name)) == ("Z", os.getpid()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(name), os.WNOHANG)


def _descendants() -> Iterator[str]:
    parents = {int(name): _state_and_parent(int(name))[1] for name in _pids()}
    for pid in parents:
        ancestor = pid
        while (ancestor := parents.get(ancestor, 0)) not in (0, os.getpid()):
            pass
        if ancestor and alive(pid):
            yield f"process {pid} {_command(pid)}"


def _pids() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]


def _state_and_parent(pid: int) -> tuple[str, int]:
    """The state letter and the parent of a process (proc(5), /proc/pid/stat); empty if gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    state, parent = text.rpartition(")")[2].split()[:2]
    return state, int(parent)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return b" ".join(words).decode(errors="replace")


def _fuse_mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, source = line.partition(" - ")
        place = fields.split()[4]
        if source.startswith("fuse") and not _is_another_workers(place):
            yield f"mount {place}"


def _is_another_workers(place: str) -> bool:
    """Whether a mount lies in the temporary folder of a test process that runs beside this one."""
    own = f"/popen-{os.environ.get('PYTEST_XDIST_WORKER', '')}/"
    return "/popen-gw" in place and own not in place
