"""What may still find disks: how long a node has to be looked at before all of its disks are there.

Modules are loaded when this is asked, and the kernel waits for what their probes began: ports of
ATA have their disks then, as a virtio disk has. A SAS, RAID or Fibre Channel adapter goes on to
search by itself, for many seconds, and one after the other. Source: PCI Code and ID Assignment,
1.2 (base class 01h); Linux, do_init_module, Documentation/ABI/testing/sysfs-bus-usb.
"""

import os
from collections.abc import Iterator, Sequence

QUICK_SECONDS = 1.0
UNKNOWN_SECONDS = 10.0
"""For adapters that may find one more, and for a machine that does not tell what it has."""
EMPTY_SECONDS = 60.0
"""For an adapter that searches by itself and has found nothing: many are empty for half of that."""

STORAGE = "0x01"
ATA = ("0x0101", "0x0105", "0x0106")
USB_STORAGE = "08"
TEXT_LIMIT = 64


def settle_seconds(sys: str = "/sys") -> float:
    """How long nothing may change until no other disk is to be expected."""
    disks = [os.path.realpath(f"{sys}/block/{name}") for name in _names(f"{sys}/block")]
    found = [_adapter_seconds(path, kind, disks) for path, kind in _adapters(sys)]
    found += [_reader_seconds(path, disks) for path in _usb_storage(sys)]
    return max(found, default=UNKNOWN_SECONDS)


def _adapters(sys: str) -> Iterator[tuple[str, str]]:
    """PCI functions that hold storage and have a driver: their folders, and their class."""
    devices = f"{sys}/bus/pci/devices"
    for name in _names(devices):
        kind = _text(f"{devices}/{name}/class")
        if kind.startswith(STORAGE) and os.path.exists(f"{devices}/{name}/driver"):
            yield os.path.realpath(f"{devices}/{name}"), kind


def _adapter_seconds(path: str, kind: str, disks: Sequence[str]) -> float:
    behind = [disk[len(path) :] for disk in disks if disk.startswith(path + "/")]
    if kind.startswith(ATA):
        return QUICK_SECONDS
    if not behind:
        return EMPTY_SECONDS
    # A disk of SCSI is one of those its host finds; virtio and NVMe have theirs without one.
    return UNKNOWN_SECONDS if any("/host" in disk for disk in behind) else QUICK_SECONDS


def _usb_storage(sys: str) -> Iterator[str]:
    devices = f"{sys}/bus/usb/devices"
    for name in _names(devices):
        if _text(f"{devices}/{name}/bInterfaceClass") == USB_STORAGE:
            yield os.path.realpath(f"{devices}/{name}")


def _reader_seconds(path: str, disks: Sequence[str]) -> float:
    """usb-storage waits a second before it looks for a disk."""
    there = any(disk.startswith(path + "/") for disk in disks)
    return QUICK_SECONDS if there else UNKNOWN_SECONDS


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(TEXT_LIMIT).strip().decode("ascii", "replace")
    except OSError:
        return ""
