"""A program of its own, run inside the cage: it starts what it is told and hands out open files.

    python3 -I -S confined_worker.py [--bare] [DAEMON [WORD...]]

Descriptor 0 is a socket (unix(7), SOCK_SEQPACKET) that bakery holds the other end of; 1 is the
socket the daemon gets as its standard input and output; 2 takes what goes wrong. The daemon is
started before anything else, so that it starts while this program still does.

A message is words joined by NUL. Requests, and the answer to each:

    run    ID  MEMORY  CPU  FSIZE  PROGRAM  WORD...   with descriptors 0, 1, 2 for the program
    open   ID  PATH                                   answered with an open descriptor
    edit   ID  PATH                                   the same, open for writing too
    make   ID  PATH                                   the same, of a new and empty file
    -> ID  NUMBER     the exit code of a program (negative: its signal), or an errno, where 0
                      means that the descriptor is attached; ID 0 is the daemon

It knows nothing of bakery and imports nothing but Python's standard library. When its socket
closes it ends, and the cage with everything in it. With `--bare` there is no cage: the kernel is
asked to end what was started (prctl(2), PR_SET_PDEATHSIG).
"""

import os
import resource
import select
import sys
from collections.abc import Iterable, Sequence

TYPE_CHECKING = False  # of typing, which takes as long to import as all else here
if TYPE_CHECKING:
    from socket import socket

MESSAGE_LIMIT_BYTES = 128 << 10
STANDARD_DESCRIPTORS = 3
EXEC_FAILED = 127
DAEMON = b"0"
SHUT_RDWR = 2  # shutdown(2)
PR_SET_PDEATHSIG = 1
SIGTERM = 15  # a FUSE daemon takes its mounts down on it
MODES = {b"open": os.O_RDONLY, b"edit": os.O_RDWR, b"make": os.O_RDWR | os.O_CREAT | os.O_EXCL}
BOUNDS = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)


def start(
    words: Sequence[bytes],
    descriptors: Sequence[int],
    bounds: Sequence[int] = (),
    *,
    bare: bool = False,
) -> int:
    """Start a program on its three standard descriptors, within bounds; its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        if bare:
            end_with(parent)
        become(words, descriptors, bounds)
    except BaseException as error:  # noqa: BLE001 - nothing may return from the forked child
        os.write(2, f"{os.fsdecode(words[0])}: {error}\n".encode("utf-8", "replace"))
    os._exit(EXEC_FAILED)


def end_with(parent: int) -> None:
    """Have this process ended when its parent is, even if that has just happened.

    In a session of its own: whoever ends the parent's whole process group at once would leave
    a FUSE daemon no time to take its mounts down.
    """
    import ctypes

    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXEC_FAILED)


def become(words: Sequence[bytes], descriptors: Sequence[int], bounds: Sequence[int]) -> None:
    """Turn this process into a program; every other descriptor closes as it starts (PEP 446)."""
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
    if bounds:
        import signal

        # Python ignores both, and a program that outgrows its bound is to end, not to go on.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for kind, bound in zip(BOUNDS, bounds, strict=False):
        # What bakery itself may not go beyond, its programs may not either.
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)  # noqa: PLW2901
        resource.setrlimit(kind, (bound, bound))
    os.execv(words[0], list(words))  # noqa: S606 - no shell is wanted


class Worker:
    """Serves one socket; `running` maps the pidfd of a program to its process and request.

    `talk` is the daemon's own socket. It is shut down when the daemon ends: others may hold it
    open (bubblewrap does), and bakery would wait for an answer that cannot come.
    """

    def __init__(self, control: "socket", talk: "socket", *, bare: bool) -> None:
        self.control = control
        self.talk = talk
        self.bare = bare
        self.running: dict[int, tuple[int, bytes]] = {}
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def watch(self, pid: int, request: bytes) -> None:
        """Answer `request` when the process ends."""
        pidfd = os.pidfd_open(pid)
        self.running[pidfd] = (pid, request)
        self.poll.register(pidfd, select.POLLIN)

    def serve(self) -> None:
        """Take requests until the socket closes."""
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor in self.running:
                    self.reap(descriptor)
                elif not self.take():
                    return

    def reap(self, pidfd: int) -> None:
        """Tell of a program that has ended."""
        pid, request = self.running.pop(pidfd)
        self.poll.unregister(pidfd)
        os.close(pidfd)
        if request == DAEMON:
            self.talk.shutdown(SHUT_RDWR)
        self.answer(request, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def answer(self, request: bytes, number: int, descriptors: Iterable[int] = ()) -> None:
        """Send an answer."""
        import socket

        socket.send_fds(self.control, [b"%s\0%d" % (request, number)], list(descriptors))

    def take(self) -> bool:
        """Serve one request; False where there are no more."""
        import socket

        message, descriptors, _, _ = socket.recv_fds(
            self.control, MESSAGE_LIMIT_BYTES, STANDARD_DESCRIPTORS
        )
        if not message:
            return False
        for descriptor in descriptors:
            # recv_fds() takes MSG_CMSG_CLOEXEC, and ignores it.
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - it has no name
        operation, request, *words = message.split(b"\0")
        try:
            if operation == b"run":
                bounds = [int(word) for word in words[: len(BOUNDS)]]
                program = words[len(BOUNDS) :]
                self.watch(start(program, descriptors, bounds, bare=self.bare), request)
            else:
                self.open(request, words[0], MODES[operation])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def open(self, request: bytes, path: bytes, flags: int) -> None:
        """Hand out an open file."""
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            self.answer(request, error.errno or 1)
            return
        try:
            self.answer(request, 0, [descriptor])
        finally:
            close(descriptor)


def close(descriptor: int) -> None:
    """Close a file, even one whose FUSE daemon has ended meanwhile."""
    try:
        os.close(descriptor)
    except OSError:
        return


def main() -> None:
    """Start the daemon, then serve."""
    words = [os.fsencode(word) for word in sys.argv[1:]]
    bare = words[:1] == [b"--bare"]
    daemon = start(words[bare:], (1, 1, 2), bare=bare) if words[bare:] else 0
    import socket

    worker = Worker(socket.socket(fileno=0), socket.socket(fileno=os.dup(1)), bare=bare)
    if daemon:
        worker.watch(daemon, DAEMON)
    os.dup2(2, 1)
    try:
        worker.serve()
    except ConnectionError:
        return


if __name__ == "__main__":
    main()
