"""QEMU block nodes as plain data, so that QEMU is never left to guess.

A bare file name lets QEMU probe the format, follow a backing file the image names, and take
`nbd://…` or `fat:rw:/etc` for a protocol (qemu(1), Disk Images; CVE-2024-4467). A node names
every driver and every file; `json:` in front of it makes it a file name (QAPI BlockdevOptions).
"""

import json
from pathlib import Path
from typing import Any

Node = dict[str, Any]

# Formats whose files can name another file to read from; for these it must be said: none.
BACKED_FORMATS = ("qcow2", "qcow", "qed", "vmdk")


def file_node(path: Path) -> Node:
    """The bytes of a local file."""
    return {"driver": "file", "filename": str(path)}


def image(path: Path, image_format: str) -> Node:
    """An image of a known format that stands alone: a backing file it names is not opened."""
    node: Node = {"driver": image_format, "file": file_node(path)}
    if image_format in BACKED_FORMATS:
        node["backing"] = None
    return node


def overlay(path: Path, backing: Node) -> Node:
    """A qcow2 overlay over `backing`, whatever backing file its header names."""
    return {"driver": "qcow2", "file": file_node(path), "backing": backing}


def window(node: Node, offset_bytes: int, size_bytes: int) -> Node:
    """A part of another node, shown as a disk of its own."""
    return {"driver": "raw", "offset": offset_bytes, "size": size_bytes, "file": node}


def name(node: Node) -> str:
    """The node as a file name for qemu-img."""
    return "json:" + json.dumps(node)
