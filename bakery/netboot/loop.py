"""A server that is one thread around one selector: what the datagram servers have in common."""

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from bakery.host.errors import BakeryError
from bakery.netboot.wire_events import Seldom, Sink, Trouble, readable

SO_BINDTODEVICE = 25  # socket(7); not in Python's socket module on every build
TICK_SECONDS = 0.5

OnReadable = Callable[[], object]


class Loop(ABC):
    """Sockets, each with what to do when it is readable, and a tick every half second.

    `start` opens the sockets in the calling thread (and in its network namespace), so that a port
    that is taken is a BakeryError there. What a packet causes afterwards never ends the thread.
    """

    name: str

    def __init__(self, on_event: Sink) -> None:
        self.on_event = on_event
        self._seldom = Seldom()
        self._selector: selectors.BaseSelector | None = None
        self._wake = -1
        self._thread: threading.Thread | None = None

    @abstractmethod
    def open(self) -> None:
        """Open the sockets and `watch` them."""

    def tick(self) -> None:  # noqa: B027 - most have nothing to do
        """What is due from time to time."""

    def closing(self) -> None:  # noqa: B027 - most have nothing more
        """What is to be let go at the end, besides the sockets that are watched."""

    def start(self) -> Self:
        """Open the sockets and serve; BakeryError where they cannot be had."""
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake, selectors.EVENT_READ)
        try:
            self.open()
        except BaseException:
            self._close()
            raise
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and close everything; returns when the thread has ended."""
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def watch(self, sock: socket.socket, on_readable: OnReadable) -> None:
        """Call `on_readable` whenever `sock` has something; it must not block."""
        assert self._selector is not None
        sock.settimeout(0)
        self._selector.register(sock, selectors.EVENT_READ, on_readable)

    def unwatch(self, sock: socket.socket) -> None:
        """Leave a socket alone again (it stays open)."""
        assert self._selector is not None
        self._selector.unregister(sock)

    def trouble(self, reason: str) -> None:
        """Tell what cannot be done; the same not again and again."""
        if self._seldom(reason):
            self.on_event(Trouble(self.name, readable(reason)))

    def _run(self) -> None:
        assert self._selector is not None
        due = 0.0
        while True:
            for key, _ in self._selector.select(TICK_SECONDS):
                if key.fd == self._wake:
                    self._close()
                    return
                # What came before it in this round may have left the socket alone.
                if self._selector.get_map().get(key.fd) is key:
                    self._guarded(key.data)
            if time.monotonic() >= due:
                due = time.monotonic() + TICK_SECONDS
                self._guarded(self.tick)

    def _guarded(self, action: OnReadable) -> None:
        """One packet, whatever is in it, must not end the service for all nodes."""
        try:
            action()
        except (BlockingIOError, InterruptedError):
            return
        except Exception as error:  # noqa: BLE001 - told as an event, and the next one is served
            self.trouble(f"{type(error).__name__}: {error}")

    def _close(self) -> None:
        assert self._selector is not None
        self.closing()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake)


def bound(
    kind: socket.SocketKind, address: tuple[str, int], what: str, interface: str = ""
) -> socket.socket:
    """An IPv4 socket bound to an address, and to an interface where one is named.

    BakeryError says why it cannot be had; `what` is what it is for, such as "TFTP".
    """
    sock = socket.socket(socket.AF_INET, kind)
    try:
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, interface.encode() + b"\0")
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise cannot_serve(error, what, address, interface) from error
    return sock


def cannot_serve(
    error: OSError, what: str, address: tuple[str, int], interface: str = ""
) -> BakeryError:
    """Why a port cannot be had, and the way out."""
    place = f"port {address[1]} of {interface or address[0]}"
    hints = {
        errno.EACCES: "ports below 1024 need root, or a network namespace of your own",
        errno.EPERM: "binding to an interface needs root, or a network namespace of your own",
        errno.EADDRINUSE: "another program serves there: ss -lnp shows which",
        errno.EADDRNOTAVAIL: "no interface of this machine has that address: ip address",
        errno.ENODEV: "there is no such interface: ip link",
    }
    reason = os.strerror(error.errno) if error.errno else str(error)
    return BakeryError(
        f"{what} cannot be served on {place}: {reason}", hints.get(error.errno or 0, "")
    )


def quietly(sock: socket.socket, data: bytes, to: tuple[str, int]) -> None:
    """Send a datagram whose loss is no harm: the other side asks again."""
    with contextlib.suppress(OSError):
        sock.sendto(data, to)
