"""A TCP relay that breaks the connection at a known byte: a cable pulled out."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

PIECE_BYTES = 64 << 10


class Proxy:
    """Relays to 127.0.0.1:`to`; listens at `port`.

    It counts one direction: `sent_bytes` is what went to the target, or with `answers` what the
    target was to be heard of.
    """

    def __init__(self, to: int, *, answers: bool = False) -> None:
        self._to, self._answers = to, answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left: int | None = None
        self._next: list[int] = []
        self._for_good = False
        self._open: list[socket.socket] = []
        self.cuts = 0
        self.sent_bytes = 0
        self.port = int(self._listener.getsockname()[1])

    def cut_after(self, *counts: int, for_good: bool = False) -> None:
        """Break off when so many bytes more were counted, and so on; `for_good`: for ever."""
        self._left, *self._next = counts
        self._for_good = for_good

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.cuts and self._for_good:
                    client.close()
                    continue
                server = self._reached(client)
                if server is None:
                    continue
                self._open += [client, server]
                ways = ((client, server, not self._answers), (server, client, self._answers))
                for pair in ways:
                    threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _reached(self, client: socket.socket) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", self._to))
        except ConnectionRefusedError:
            client.close()
            return None

    def _relay(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                self.sent_bytes += len(piece) if counted else 0
                if counted and self._left is not None:
                    self._left -= len(piece)
                    if self._left <= 0:
                        self._left = self._next.pop(0) if self._next else None
                        self.cuts += 1
                        self._close_all()
                        return
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def _close_all(self) -> None:
        for link in self._open:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self._open = []
