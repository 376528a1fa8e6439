"""A node's serial console: one stream, kept in a file, shown to everyone who attaches.

The stream outlives the node's power: QEMU inherits one end of a socket pair that stays open, so
who is attached sees the node switched off and on again.
"""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bakery.vm.console import CUT_MARK, LOG_LIMIT_BYTES

READ_BYTES = 64 << 10
RECALL_BYTES = 4096
MOST_VIEWERS = 16
# A viewer that takes nothing for so many bytes is let go; the node never waits for one. The bytes
# wait here: a socket's own buffer is full of some 500 pieces, and firmware prints by the character.
VIEWER_BUFFER_BYTES = 1 << 20


class Terminal:
    """Serves one console in a thread of its own, from `start` to `close`.

    Each viewer at the unix socket `place` first gets the last 4 KiB, then all that comes; what
    any of them types goes to the node. `guest` is the end for QEMU. The file `log` keeps the first
    `log_limit_bytes`; who comes when there are `most_viewers` is sent away.
    """

    def __init__(
        self,
        place: Path,
        log: Path,
        *,
        log_limit_bytes: int = LOG_LIMIT_BYTES,
        most_viewers: int = MOST_VIEWERS,
    ) -> None:
        self._log_limit_bytes = log_limit_bytes
        self._most_viewers = most_viewers
        self._host, self.guest = socket.socketpair()
        self._wake, self._tell_end = socket.socketpair()
        self._log: IO[bytes] = log.open("wb", buffering=0)
        self._kept_bytes = 0
        self._recall = b""
        self._viewers: dict[socket.socket, bytearray] = {}  # and what waits for each
        self._selector = selectors.DefaultSelector()
        self._listener = listen(place)
        self._thread = threading.Thread(target=self._serve, name=f"console {place}", daemon=True)
        for end in (self._host, self._wake, self._listener):
            end.settimeout(0)
            self._selector.register(end, selectors.EVENT_READ)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._tell_end.close()
        if self._thread.is_alive():
            self._thread.join()
        for end in (*self._viewers, self._host, self.guest, self._wake, self._listener):
            end.close()
        self._selector.close()
        self._log.close()

    def forget_input(self) -> None:
        """Drop what was typed while the node was off."""
        with contextlib.suppress(BlockingIOError):
            while self.guest.recv(READ_BYTES, socket.MSG_DONTWAIT):
                pass

    def _serve(self) -> None:
        while True:
            for key, events in self._selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._wake:
                    return
                if end is self._listener:
                    self._admit()
                elif end is self._host:
                    self._show(end.recv(READ_BYTES))
                elif events & selectors.EVENT_READ:
                    self._type(end)
                else:
                    self._give(end, b"")

    def _admit(self) -> None:
        try:
            viewer, _ = self._listener.accept()
        except OSError:
            return  # it went away again
        if len(self._viewers) >= self._most_viewers:
            viewer.close()
            return
        viewer.settimeout(0)
        self._viewers[viewer] = bytearray()
        self._selector.register(viewer, selectors.EVENT_READ)
        self._give(viewer, self._recall)

    def _show(self, piece: bytes) -> None:
        self._keep(piece)
        self._recall = (self._recall + piece)[-RECALL_BYTES:]
        for viewer in list(self._viewers):
            self._give(viewer, piece)

    def _give(self, viewer: socket.socket, piece: bytes) -> None:
        """Send what waits and `piece`, as far as the viewer takes it."""
        if viewer not in self._viewers:
            return  # let go a moment ago
        waiting = self._viewers[viewer]
        waiting += piece
        try:
            del waiting[: viewer.send(waiting) if waiting else 0]
        except BlockingIOError:
            pass
        except OSError:
            self._dismiss(viewer)
            return
        if len(waiting) > VIEWER_BUFFER_BYTES:
            self._dismiss(viewer)
            return
        events = selectors.EVENT_WRITE if waiting else 0
        self._selector.modify(viewer, selectors.EVENT_READ | events)

    def _type(self, viewer: socket.socket) -> None:
        try:
            piece = viewer.recv(READ_BYTES)
        except OSError:
            piece = b""
        if not piece:
            self._dismiss(viewer)
            return
        with contextlib.suppress(BlockingIOError):  # a node that reads nothing loses keys
            self._host.send(piece)

    def _dismiss(self, viewer: socket.socket) -> None:
        if viewer in self._viewers:
            del self._viewers[viewer]
            self._selector.unregister(viewer)
            viewer.close()

    def _keep(self, piece: bytes) -> None:
        room = self._log_limit_bytes - self._kept_bytes
        if room <= 0:
            return
        self._log.write(piece[:room])
        self._kept_bytes += len(piece)
        if len(piece) >= room:
            self._log.write(CUT_MARK)


def listen(place: Path) -> socket.socket:
    """A unix socket at `place`, for its owner alone, however long the path is."""
    listener = socket.socket(socket.AF_UNIX)
    with short(place) as name:
        listener.bind(name)
    place.chmod(0o600)
    listener.listen(MOST_VIEWERS)
    return listener


def connect(place: Path) -> socket.socket:
    """A connection to the unix socket at `place`; OSError where nobody is there."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with short(place) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def short(place: Path) -> Iterator[str]:
    """A name of `place` that fits into 108 bytes, all an address can have (unix(7))."""
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
