"""The conductor's notice: it connects to TCP port 10000, says something, and closes."""

import contextlib
import socket
from types import TracebackType

from .errors import AgentError

PORT = 10000
WORDS_LIMIT = 64  # bytes; Ironic sends `done`
WORDS_SECONDS = 30.0


class Notice:
    """A port that is open from `with` on, so that no notice comes too early."""

    def __init__(self, port: int = PORT) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(("", port))
            self._listener.listen(4)
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

    def wait(self) -> str:
        """Wait, however long it takes, and return what was said, in few words at most.

        The time is the conductor's: it may be killed, come again and go on.
        """
        link, _ = self._listener.accept()
        words = b""
        with link, contextlib.suppress(OSError):
            link.settimeout(WORDS_SECONDS)
            while len(words) < WORDS_LIMIT and (piece := link.recv(WORDS_LIMIT)):
                words += piece
        return words[:WORDS_LIMIT].decode("ascii", "replace").strip()
