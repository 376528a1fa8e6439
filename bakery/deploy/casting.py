"""One image to many nodes at once: udpcast's senders, beside the HTTP server.

A sender waits until all nodes listen that have not heard the image yet, or JOIN_SECONDS after the
first of them, and sends the packed base once; the wire carries it once, however many listen. For
nodes that come later there is another, on ports of its own. The last node fetches by HTTP, and so
does who loses the thread, and everybody where udpcast is not installed. What is sent is believed
by the signed plan alone (bakery/agent/cast.py). Source: udp-sender(1).
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bakery import tools
from bakery.pool import Pool
from bakery.run import Arg, Process, spawn

PROGRAM = "udp-sender"
PORT = 9000
"""The first sender's, who needs the next one too; further senders follow."""
JOIN_SECONDS = 15
LATE_SECONDS = 3.0
"""Who asks so shortly before the beginning may miss it."""
HELLO_MILLISECONDS = 1000
DROP_TRIES = 50
"""How often a node that is silent is asked before the others go on without it."""


class Casting:
    """Senders for `nodes` nodes; each asks once where it will hear the image."""

    def __init__(self, file: Path, interface: str, nodes: int) -> None:
        self._file, self._interface = file, interface
        self._expected = nodes
        self._senders: list[Process] = []
        self._closes = 0.0
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        # A program ends with the thread that started it; those that ask do not live so long.
        self._starter = Pool(1)
        self._stack.callback(self._starter.shutdown)

    def port(self) -> int:
        """Where the image will be sent; 0 for who had better fetch it."""
        with self._lock:
            self._expected -= 1
            now = time.monotonic()
            if now >= self._closes or self._senders[-1].poll() is not None:
                if self._expected < 1:
                    return 0
                port = PORT + 2 * len(self._senders)
                words = argv(self._file, self._interface, port, self._expected + 1)
                started = self._starter.submit(self._stack.enter_context, spawn(words))
                self._senders.append(started.result())
                self._closes = now + JOIN_SECONDS - LATE_SECONDS
            return PORT + 2 * (len(self._senders) - 1)

    def close(self) -> None:
        """End all senders."""
        self._stack.close()


@contextlib.contextmanager
def casting(file: Path, interface: str, nodes: int) -> Iterator[Casting | None]:
    """Have `file` sent to so many nodes while the block lasts; None where that is not worth it."""
    if nodes < 2 or not tools.find(PROGRAM):
        yield None
        return
    with contextlib.closing(Casting(file, interface, nodes)) as made:
        yield made


def argv(file: Path, interface: str, port: int, nodes: int) -> list[Arg]:
    """The command of a sender that begins when so many nodes listen."""
    words: list[Arg] = [PROGRAM, "--file", file, "--interface", interface, "--nokbd"]
    words += ["--portbase", str(port), "--min-receivers", str(nodes)]
    words += ["--max-wait", str(JOIN_SECONDS), "--retries-until-drop", str(DROP_TRIES)]
    words += ["--rexmit-hello-interval", str(HELLO_MILLISECONDS)]
    return [*words, "--full-duplex", "--nopointopoint"]
