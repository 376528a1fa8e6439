"""QEMU block devices as plain data, so that QEMU is never left to guess.

A bare file name lets QEMU probe the format, follow a backing file the image names, and take
`nbd://…` or `fat:rw:/etc` for a protocol (qemu(1), Disk Images; CVE-2024-4467). A device names
every driver and every file; `json:` in front of it makes it a file name (QAPI BlockdevOptions).
"""

import json
from pathlib import Path
from typing import Any

BlockDevice = dict[str, Any]

# Formats whose files can name another file to read from; for these it must be said: none.
BACKED_FORMATS = ("qcow2", "qcow", "qed", "vmdk")


def local_file(path: Path) -> BlockDevice:
    """The bytes of a local file."""
    return {"driver": "file", "filename": str(path)}


def image(path: Path, image_format: str) -> BlockDevice:
    """An image of a known format that stands alone: a backing file it names is not opened."""
    device: BlockDevice = {"driver": image_format, "file": local_file(path)}
    if image_format in BACKED_FORMATS:
        device["backing"] = None
    return device


def overlay(path: Path, backing: BlockDevice) -> BlockDevice:
    """A qcow2 overlay over `backing`, whatever backing file its header names."""
    return {"driver": "qcow2", "file": local_file(path), "backing": backing}


def window(device: BlockDevice, offset_bytes: int, size_bytes: int) -> BlockDevice:
    """A part of another device, shown as a disk of its own."""
    return {"driver": "raw", "offset": offset_bytes, "size": size_bytes, "file": device}


def name(device: BlockDevice) -> str:
    """The device as a file name for qemu-img."""
    return "json:" + json.dumps(device)
