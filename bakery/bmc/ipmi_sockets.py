"""Two repairs of pyghmi, whose one thread reads all sockets: it must never wait for one of them,
and always hear when it is to wake.

pyghmi makes a socket non-blocking before it reads from it, and blocking before it writes to it, in
two threads. Where the one comes between the other's two steps, the reader waits for a packet that
may never come, and with it every session and every BMC of the process.
"""

import socket

Received = tuple[bytes, tuple[str, int]]


def repair() -> None:
    """Have pyghmi's reader ask for each datagram without waiting, whatever the socket's mode."""
    from pyghmi.ipmi.private import session

    session._io_recvfrom = _received  # noqa: SLF001 - it offers no other way


def listen_to_itself() -> None:
    """Give pyghmi a socket of its own before it gets those of BMCs; the loopback must be up.

    It wakes its reader by a datagram to its first socket at the loopback's address. A BMC's socket
    does not hear that, and the reader would sleep on, up to five minutes.
    """
    from pyghmi.ipmi.private import session

    session.Session._assignsocket()  # noqa: SLF001 - what a client's session begins with


def _received(link: socket.socket, limit: int) -> Received | None:
    """A datagram that is there already, or None."""
    try:
        received: Received = link.recvfrom(limit, socket.MSG_DONTWAIT)
    except OSError:
        return None
    return received
