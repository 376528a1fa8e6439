"""A TCP relay that breaks the connection at a known byte: a cable pulled out."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

PIECE_BYTES = 64 << 10


class Proxy:
    """Relays to 127.0.0.1:`to`; listens at `port`; `sent_bytes` is what went to the target."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._left: int | None = None
        self._for_good = False
        self._open: list[socket.socket] = []
        self.cuts = 0
        self.sent_bytes = 0
        self.port = int(self._listener.getsockname()[1])

    def cut_after(self, count: int, *, for_good: bool = False) -> None:
        """Break off once, when `count` bytes more went to the target; `for_good`: for ever."""
        self._left, self._for_good = count, for_good

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
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                for pair in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._relay, args=pair, daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                self.sent_bytes += len(piece) if counted else 0
                if counted and self._left is not None:
                    self._left -= len(piece)
                    if self._left <= 0:
                        self._left = None
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
