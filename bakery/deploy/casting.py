"""One image to many nodes at once: udpcast's sender, beside the HTTP server.

It waits until all nodes listen, or JOIN_SECONDS after the first of them, and sends the packed base
once; the wire carries it once, however many listen. Who comes later, or loses the thread, fetches
by HTTP: so does a single node, and everybody where udpcast is not installed. What is sent is
believed by the signed plan alone (bakery/agent/cast.py). Source: udp-sender(1).
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bakery import tools
from bakery.run import Arg, Process, spawn

PROGRAM = "udp-sender"
PORT = 9000  # and the next one
JOIN_SECONDS = 15
LATE_SECONDS = 3.0
"""Who asks so shortly before the beginning may miss it."""
HELLO_MILLISECONDS = 1000
DROP_TRIES = 50
"""How often a node that is silent is asked before the others go on without it."""


class Casting:
    """A sender at work; nodes that are told its `port` in time will hear it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._first = 0.0
        self._lock = threading.Lock()

    def port(self) -> int:
        """Where the image will be sent; 0 for who comes too late."""
        with self._lock:
            now = time.monotonic()
            self._first = self._first or now
            in_time = now - self._first < JOIN_SECONDS - LATE_SECONDS
            return PORT if in_time and self._process.poll() is None else 0


@contextlib.contextmanager
def casting(file: Path, interface: str, nodes: int) -> Iterator[Casting | None]:
    """Have `file` sent to so many nodes while the block lasts; None where that is not worth it."""
    if nodes < 2 or not tools.find(PROGRAM):
        yield None
        return
    with spawn(argv(file, interface, nodes)) as process:
        yield Casting(process)


def argv(file: Path, interface: str, nodes: int) -> list[Arg]:
    """The sender's command."""
    words: list[Arg] = [PROGRAM, "--file", file, "--interface", interface, "--nokbd"]
    words += ["--portbase", str(PORT), "--min-receivers", str(nodes)]
    words += ["--max-wait", str(JOIN_SECONDS), "--retries-until-drop", str(DROP_TRIES)]
    words += ["--rexmit-hello-interval", str(HELLO_MILLISECONDS)]
    return [*words, "--full-duplex", "--nopointopoint"]
