"""Measuring a command as a whole: wall seconds, memory of all its processes, bytes on the disk."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SAMPLE_SECONDS = 0.02


class Reading(NamedTuple):
    """One run; `memory_bytes` is the highest sum of its processes' proportional set sizes."""

    seconds: float
    memory_bytes: int


def measure(
    argv: Sequence[str | Path], *, memory: bool = False, env: Mapping[str, str] | None = None
) -> Reading:
    """Run a command to its end. With `memory`, a thread watches it, which costs it some speed.

    `env` is added to the environment. What an earlier run left to be written is written before.
    """
    os.sync()
    started = time.perf_counter()
    process = subprocess.Popen(
        argv, env=os.environ | (env or {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = [0]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
    if memory:
        watcher.start()
    _, told = process.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    if memory:
        watcher.join()
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {told.decode()}")
    return Reading(seconds, peak[0])


def disk_bytes(*paths: Path) -> int:
    """What files occupy on the disk; a file with several names counts once."""
    stats = {(s.st_dev, s.st_ino): s.st_blocks * 512 for s in (p.stat() for p in _files(paths))}
    return sum(stats.values())


def _files(paths: Sequence[Path]) -> list[Path]:
    return [f for p in paths for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()]


def _watch(root: int, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        peak[0] = max(peak[0], sum(_pss(pid) for pid in _family(root)))


def _family(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                text = Path(entry.path, "stat").read_text()
                parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
