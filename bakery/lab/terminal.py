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

from bakery.console import CUT_MARK, LOG_LIMIT_BYTES

READ_BYTES = 64 << 10
RECALL_BYTES = 4096
MOST_VIEWERS = 16
# A viewer that takes nothing for so many bytes is let go; the node never waits for one.
VIEWER_BUFFER_BYTES = 1 << 20


class Terminal:
    """Serves one console in a thread of its own, from `start` to `close`.

    Each viewer at the unix socket `place` first gets the last 4 KiB, then all that comes; what
    any of them types goes to the node. `guest` is the end for QEMU.
    """

    def __init__(self, place: Path, log: Path) -> None:
        self._host, self.guest = socket.socketpair()
        self._wake, self._tell_end = socket.socketpair()
        self._log: IO[bytes] = log.open("wb", buffering=0)
        self._kept_bytes = 0
        self._recall = b""
        self._viewers: set[socket.socket] = set()
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
            for key, _ in self._selector.select():
                end = key.fileobj
                assert isinstance(end, socket.socket)
                if end is self._wake:
                    return
                if end is self._listener:
                    self._admit()
                elif end is self._host:
                    self._show(end.recv(READ_BYTES))
                else:
                    self._type(end)

    def _admit(self) -> None:
        try:
            viewer, _ = self._listener.accept()
        except OSError:
            return  # it went away again
        if len(self._viewers) >= MOST_VIEWERS:
            viewer.close()
            return
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, VIEWER_BUFFER_BYTES)
        viewer.settimeout(0)
        self._viewers.add(viewer)
        self._selector.register(viewer, selectors.EVENT_READ)
        self._give(viewer, self._recall)

    def _show(self, piece: bytes) -> None:
        self._keep(piece)
        self._recall = (self._recall + piece)[-RECALL_BYTES:]
        for viewer in list(self._viewers):
            self._give(viewer, piece)

    def _give(self, viewer: socket.socket, piece: bytes) -> None:
        try:
            given = viewer.send(piece) if piece else 0
        except OSError:
            given = -1
        if given != len(piece):
            self._dismiss(viewer)

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
            self._viewers.remove(viewer)
            self._selector.unregister(viewer)
            viewer.close()

    def _keep(self, piece: bytes) -> None:
        room = LOG_LIMIT_BYTES - self._kept_bytes
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
