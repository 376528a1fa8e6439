"""The conductor's notice: it connects to TCP port 10000, says its word, and closes.

The word is made with the deployment key (proof.py): who says anything else, or nothing, or is not
at the conductor's address, leaves the node waiting.
"""

import contextlib
import socket
import time
from types import TracebackType

from . import proof
from .console import say
from .errors import AgentError

PORT = 10000
WORDS_LIMIT = 64  # bytes
WORDS_SECONDS = 10.0
BACKLOG = 64
LOOK_SECONDS = 1.0


class Notice:
    """A port that is open from `with` on, so that no notice comes too early.

    `word` ends the waiting; with None, as on a wire that is trusted, everything does. `server` is
    the address it comes from, where that is known.
    """

    def __init__(self, word: str | None, server: str = "", port: int = PORT) -> None:
        self._word, self._server = word, server
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("", port))
            self._listener.listen(BACKLOG)
            self._listener.settimeout(LOOK_SECONDS)
        except OSError as error:
            self._listener.close()
            raise AgentError(f"port {port} cannot be opened: {error.strerror}") from None

    def __enter__(self) -> "Notice":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    @property
    def port(self) -> int:
        """The port that is open."""
        return int(self._listener.getsockname()[1])

    def wait(self) -> None:
        """Return when the word was said, however long it takes.

        The time is the conductor's: it may be killed, come again and go on. AgentError where the
        port is closed meanwhile.
        """
        while True:
            try:
                link, (client, _) = self._listener.accept()
            except OSError:  # nobody comes, or whoever it was is gone already
                if self._listener.fileno() < 0:
                    raise AgentError("the port was closed") from None
                continue
            with link:
                if self._server in ("", client) and self._is_it(_words(link)):
                    return
            say(f"port {self.port}: not the conductor's word, from {client}")

    def _is_it(self, said: str) -> bool:
        return self._word is None or proof.same(said, self._word)


def _words(link: socket.socket) -> str:
    """What is said until the connection ends, within bounds of length and time."""
    words, deadline = b"", time.monotonic() + WORDS_SECONDS
    with contextlib.suppress(OSError):
        while len(words) < WORDS_LIMIT and (left := deadline - time.monotonic()) > 0:
            link.settimeout(left)
            piece = link.recv(WORDS_LIMIT)
            if not piece:
                break
            words += piece
    return words[:WORDS_LIMIT].decode("ascii", "replace").strip()
