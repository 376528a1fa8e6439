"""A program of its own, for root: it starts another in a user namespace that knows every user.

    python3 -I -S all_users.py PROGRAM WORD...

bubblewrap, left to itself, makes a namespace that knows one user. Root in it may not look into
the folders of others, so root could not work on a user's image. Here every user and group that
this process can name keeps its number (user_namespaces(7)); bubblewrap then goes on from there.
The other program's end is this one's: its exit code, or 128 and the number of its signal.
"""

import ctypes
import os
import sys
from collections.abc import Sequence

CLONE_NEWUSER = 0x10000000  # sched.h
PR_SET_PDEATHSIG = 1  # prctl(2)
SIGKILL = 9
SIGNALLED = 128
EXEC_FAILED = 127


def identity(text: str) -> str:
    """A map of users as /proc/PID/uid_map shows it, made into one that changes no number."""
    rows = (line.split() for line in text.splitlines())
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


def become(words: Sequence[str], ready: int, mapped: int) -> None:
    """Enter a new user namespace, wait until it is mapped, and turn into the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace can be made here")
    os.write(ready, b"1")
    if os.read(mapped, 1) != b"1":
        raise OSError("the user namespace was not mapped")
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    os.execvp(words[0], list(words))  # noqa: S606 - no shell is wanted


def write_maps(pid: int) -> None:
    """Give a process in a new user namespace all users and groups this one knows."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}") as own:  # noqa: PTH123 - pathlib is slow to import
            wanted = identity(own.read())
        with open(f"/proc/{pid}/{name}", "w") as other:  # noqa: PTH123
            other.write(wanted)


def main(words: Sequence[str]) -> int:
    """Start the program; its exit code."""
    ready, tell_ready = os.pipe()
    mapped, tell_mapped = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(tell_mapped)
        try:
            become(words, tell_ready, mapped)
        except BaseException as error:  # noqa: BLE001 - nothing may return from the forked child
            os.write(2, f"{words[0]}: {error}\n".encode("utf-8", "replace"))
        os._exit(EXEC_FAILED)
    os.close(tell_ready)
    try:
        if os.read(ready, 1):
            write_maps(pid)
            os.write(tell_mapped, b"1")
    except OSError as error:
        os.write(2, f"users cannot be mapped: {error}\n".encode())
    os.close(tell_mapped)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else SIGNALLED - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
