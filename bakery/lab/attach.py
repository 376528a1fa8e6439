"""Between a person's terminal and a node's console."""

import contextlib
import os
import select
import socket
import termios
import tty
from collections.abc import Iterator

LEAVE = b"\x1d"  # Ctrl-], as in telnet
READ_BYTES = 64 << 10


def attach(console: socket.socket, keys: int, screen: int) -> bool:
    """Show the console on `screen` and type `keys`, both descriptors, until Ctrl-] is typed.

    Where the keys end, showing goes on. False where the console ended first.
    """
    with _raw(keys):
        sources: list[int | socket.socket] = [console, keys]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if console in ready and not _show(console, screen):
                return False
            if keys in ready:
                typed = os.read(keys, READ_BYTES)
                before, leaves, _ = typed.partition(LEAVE)
                with contextlib.suppress(OSError):  # what ended tells so when it is read
                    console.sendall(before)
                if leaves:
                    return True
                if not typed:
                    sources.remove(keys)


def _show(console: socket.socket, screen: int) -> bool:
    """Show what has come; whether there was anything, or the console has ended."""
    try:
        piece = console.recv(READ_BYTES)
    except ConnectionError:
        piece = b""
    pending = memoryview(piece)
    while pending:
        pending = pending[os.write(screen, pending) :]
    return bool(piece)


@contextlib.contextmanager
def _raw(keys: int) -> Iterator[None]:
    """Every key for the node, Ctrl-C too, where the keys come from a terminal."""
    if not os.isatty(keys):
        yield
        return
    before = termios.tcgetattr(keys)
    tty.setraw(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSAFLUSH, before)
