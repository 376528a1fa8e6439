"""A login program on a terminal of its own, its other end on the socket named by its argument.

It does what agetty, login and a shell do there: echo, no echo for the password, typed text thrown
away before the shell starts, a prompt.
"""

import contextlib
import os
import pty
import select
import signal
import socket
import sys
import termios

PASSWORD = b"secret"


def child() -> None:
    """Ask for name and password, then become a shell."""
    os.write(1, b"\nA system\n\ntiny login: ")
    os.read(0, 1024)
    quiet = termios.tcgetattr(0)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSAFLUSH, quiet)
    os.write(1, b"Password: ")
    given = os.read(0, 1024).strip()
    quiet[3] |= termios.ECHO
    termios.tcsetattr(0, termios.TCSAFLUSH, quiet)
    if given != PASSWORD:
        os.write(1, b"\nLogin incorrect\n\ntiny login: ")
        signal.pause()
    os.write(1, b"\nLast login: today\nWelcome to # 1\n")
    os.environ["PS1"] = "root@tiny:~# "
    os.execv("/bin/bash", ["-bash", "--norc", "--noprofile", "-i"])


def carry(terminal: int, connection: socket.socket) -> bool:
    """Wait for bytes and pass them on; False once the other side has hung up."""
    ready, _, _ = select.select([terminal, connection.fileno()], [], [])
    if terminal in ready:
        connection.sendall(os.read(terminal, 4096))
    if connection.fileno() in ready:
        piece = connection.recv(4096)
        os.write(terminal, piece)
        return bool(piece)
    return True


def main() -> None:
    """Carry bytes between the terminal and the socket until either ends."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    pid, terminal = pty.fork()
    if pid == 0:
        connection.close()
        child()
    with contextlib.suppress(OSError):  # a terminal whose last process is gone
        while carry(terminal, connection):
            pass
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
