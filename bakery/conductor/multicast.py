"""One image to many nodes at once: udpcast's senders, beside the HTTP server.

A sender waits until all nodes listen that have not heard the image yet, or JOIN_SECONDS after the
first of them, and sends the packed base once; the wire carries it once, however many listen. For
nodes that come later there is another, on ports of its own. The last node fetches by HTTP, and so
does who loses the thread, and everybody where udpcast is not installed. All the wire hears what is
sent, so it is encrypted; the key is in the nodes' write lists. What is heard is believed by these
lists alone (bakery/node/agent/multicast.py). Source: udp-sender(1).
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

from bakery.conductor import encryption
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal
from bakery.host.pool import Pool
from bakery.host.run import PIPE, Arg, Process, spawn

PROGRAM = "udp-sender"
PORT = 9000
"""The first sender's, who needs the next one too; further senders follow."""
JOIN_SECONDS = 15
LATE_SECONDS = 3.0
"""Whoever asks so shortly before the start may miss it."""
HELLO_MILLISECONDS = 1000
DROP_TRIES = 50
"""Number of times a silent node is asked before the others go on without it."""
PIECE_BYTES = 1 << 20


class Cast(NamedTuple):
    """The port where an image is sent, and the key it is encrypted with."""

    port: int
    key: bytes


class Casting:
    """Senders of `file` for `nodes` nodes; each asks once where it will hear the image.

    Who asks less than `late_seconds` before a sender may begin is sent to the next one.
    """

    def __init__(
        self, file: Seal, interface: str, nodes: int, late_seconds: float = LATE_SECONDS
    ) -> None:
        self._file, self._interface = file, interface
        self.key = encryption.fresh_key()  # one for all senders: they send the same
        self._joining = JOIN_SECONDS - late_seconds
        self._expected = nodes
        self._senders: list[Process] = []
        self._closes = 0.0
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        # A program ends with the thread that started it; those that ask do not live so long.
        self._starter = Pool(1)
        self._stack.callback(self._starter.shutdown)

    def cast(self) -> Cast | None:
        """Where the image will be sent; None for who had better fetch it."""
        with self._lock:
            self._expected -= 1
            now = time.monotonic()
            if now >= self._closes or self._senders[-1].poll() is not None:
                if self._expected < 1:
                    return None
                port = PORT + 2 * len(self._senders)
                words = argv(self._interface, port, self._expected + 1)
                started = self._starter.submit(self._stack.enter_context, spawn(words, stdin=PIPE))
                self._senders.append(started.result())
                threading.Thread(target=self._feed, args=(self._senders[-1],), daemon=True).start()
                self._closes = now + self._joining
            return Cast(PORT + 2 * (len(self._senders) - 1), self.key)

    def _feed(self, sender: Process) -> None:
        """Hand the image over, encrypted, as it is sent."""
        assert sender.stdin is not None
        encrypter = encryption.encrypter(self.key)
        # A sender that was ended takes no more: its pipe breaks, or is closed by who ended it. A
        # file that has changed is not sent; whoever fetches it is told.
        ended = contextlib.suppress(OSError, ValueError, BakeryError)
        with ended, sender.stdin as pipe, self._file.open() as file:
            while piece := file.read(PIECE_BYTES):
                pipe.write(encrypter.update(piece))

    def close(self) -> None:
        """End all senders."""
        self._stack.close()


@contextlib.contextmanager
def casting(
    file: Seal, interface: str, nodes: int, late_seconds: float = LATE_SECONDS
) -> Iterator[Casting | None]:
    """Have `file` sent to so many nodes while the block lasts; None where that is not worth it."""
    if nodes < 2 or not tools.find(PROGRAM):
        yield None
        return
    with contextlib.closing(Casting(file, interface, nodes, late_seconds)) as made:
        yield made


def argv(interface: str, port: int, nodes: int) -> list[Arg]:
    """The command of a sender that sends its standard input when so many nodes listen."""
    words: list[Arg] = [PROGRAM, "--interface", interface, "--nokbd"]
    words += ["--portbase", str(port), "--min-receivers", str(nodes)]
    words += ["--max-wait", str(JOIN_SECONDS), "--retries-until-drop", str(DROP_TRIES)]
    words += ["--rexmit-hello-interval", str(HELLO_MILLISECONDS)]
    return [*words, "--full-duplex", "--nopointopoint"]
