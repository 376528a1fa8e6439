"""What a process holds: its memory, its descriptors, its threads (proc(5))."""

import os
from pathlib import Path
from typing import NamedTuple

GROWTH_BYTES = 32 << 20
"""What an allocator may keep for itself; an object of 40 bytes lost at each input is more."""


class Held(NamedTuple):
    """Resident memory in bytes, open descriptors, threads."""

    memory_bytes: int
    descriptors: int
    threads: int

    def __str__(self) -> str:
        mib = self.memory_bytes / (1 << 20)
        return f"{mib:.0f} MiB, {self.descriptors} descriptors, {self.threads} threads"

    def grown(self, now: "Held", growth_bytes: int = GROWTH_BYTES) -> str:
        """What there is more of now, as words; empty where nothing is."""
        more = [
            f"{now.memory_bytes - self.memory_bytes} bytes of memory"
            if now.memory_bytes - self.memory_bytes > growth_bytes
            else "",
            f"descriptors, {self.descriptors} to {now.descriptors}"
            if now.descriptors > self.descriptors
            else "",
            f"threads, {self.threads} to {now.threads}" if now.threads > self.threads else "",
        ]
        return ", ".join(filter(None, more))


def held(process: int | None = None) -> Held:
    """What a process holds now; this one where none is named."""
    folder = Path("/proc") / str(process or os.getpid())
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    return Held(
        int(status["VmRSS"].split()[0]) * 1024,
        len(list((folder / "fd").iterdir())),
        int(status["Threads"]),
    )
