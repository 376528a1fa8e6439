"""Nodes whose machine is a shell script: started and ended as a QEMU is, with its descriptors.

Descriptor 0 is the console, 1 the monitor, 2 the file of QEMU's own messages.
"""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bakery.lab.node import Files, Hardware
from bakery.lab.nodes import VirtualNode
from bakery.lab.state import BmcAccess

SECONDS = 30
# Keeps what the monitor was told in QEMU's messages, where a test can read it.
LISTENS = "exec cat <&1 >&2"


class Machines:
    """What the next machine does, and what each was asked to be."""

    def __init__(self) -> None:
        self.script = LISTENS
        self.asked: list[dict[str, Any]] = []

    def command(self, hardware: Hardware, files: Files, **asked: Any) -> list[str]:
        self.asked.append(asked)
        return ["sh", "-c", self.script]

    @property
    def boots(self) -> list[str]:
        """What each tried first."""
        return [asked["boot"] for asked in self.asked]


def hardware(**parts: Any) -> Hardware:
    usual: dict[str, Any] = {"number": 1, "uuid": uuid.UUID(int=7), "disk_bytes": 3 << 20}
    return Hardware(**(usual | parts))


def node_in(folder: Path, parts: Hardware) -> VirtualNode:
    return VirtualNode(parts, folder, "tcg", BmcAccess("127.0.0.1", 6230, "admin", "secret"))


def until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)
