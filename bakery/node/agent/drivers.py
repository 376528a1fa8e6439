"""Kernel modules for the hardware that is there.

Every device tells its kind in a `modalias` file (Linux, Documentation/admin-guide/sysfs-rules and
depmod(8)); modprobe knows the module. A loaded driver finds more devices (a controller its disks),
so it goes on until nothing new turns up.
"""

import os
from collections.abc import Iterator

from .programs import call

ROUNDS = 8
MODPROBE_SECONDS = 120.0
LIMIT = 4096  # bytes of a file in sysfs: a page at most


def load(sys: str = "/sys") -> None:
    """Load the modules of all devices, and of those that come up through them."""
    known: set[str] = set()
    for _ in range(ROUNDS):
        fresh = set(modaliases(sys)) - known
        if not fresh:
            return
        known |= fresh
        # A device without a module of ours is no fault: -q is silent, and the code says nothing.
        call(["modprobe", "-abq", *sorted(fresh)], MODPROBE_SECONDS, check=False)


def modaliases(sys: str = "/sys") -> Iterator[str]:
    """The kind of every device on a bus."""
    for bus in _names(f"{sys}/bus"):
        for device in _names(f"{sys}/bus/{bus}/devices"):
            try:
                with open(f"{sys}/bus/{bus}/devices/{device}/modalias", "rb") as file:
                    alias = file.read(LIMIT).decode("ascii", "replace").strip()
            except OSError:
                continue  # it has none, or was pulled out
            if alias:
                yield alias


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
