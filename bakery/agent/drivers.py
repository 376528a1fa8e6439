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
    """The kind of every device."""
    for folder, _, files in os.walk(f"{sys}/devices"):
        if "modalias" in files:
            try:
                with open(f"{folder}/modalias", encoding="ascii", errors="replace") as file:
                    alias = file.read(4096).strip()
            except OSError:
                continue  # it was pulled out
            if alias:
                yield alias
