"""A cage that stays open: one confined worker, and the programs it runs for bakery.

Starting a cage costs more than most of the programs that run in it, so a session has one. What
a program prints goes into memory that bakery shares with it, bounded by the program's limit on
file size: there is no pipe to serve and no output to overrun.
"""

import contextlib
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import Limits, spawn, tail
from bakery.host.sandbox import Cage, Mount, confined, interpreter

WORKER = Path(__file__).with_name("confined_worker.py")
WORKER_INSIDE = Path("/confined_worker.py")
MESSAGE_LIMIT_BYTES = 4096
LOG_LIMIT_BYTES = 16 << 10
ANSWER_SECONDS = 120.0
ANSWER = re.compile(rb"-?[0-9]{1,18}")
TOGETHER = 4
"""Programs at work at a time: beyond this they only wait for one another's reads."""
DAEMON = 0
UNBOUNDED = (1 << 63) - 1
LIMITS = Limits(memory_bytes=1 << 30, cpu_seconds=30, file_bytes=16 << 20)


@dataclass(frozen=True)
class Command:
    """A program to run inside. `stdout` is a descriptor that takes its output, or it is kept."""

    argv: Sequence[str]
    limits: Limits = LIMITS
    stdout: int | None = None


@dataclass(frozen=True)
class Output:
    """What a program left: its exit code (negative: the signal that ended it) and its output."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def complaint(self) -> str:
        """Its last words on standard error, as one line."""
        return tail(self.stderr)


class Cell:
    """A running worker; `confined` tells whether there is a cage around it.

    `daemon` is a program it starts first and keeps, `talk` bakery's end of the daemon's standard
    input and output. Raises MissingTool, or BakeryError where the worker cannot be started.
    """

    def __init__(self, mounts: Sequence[Mount], daemon: Command) -> None:
        self.confined = confined()
        self._log = os.memfd_create("log")
        self._null = os.open(os.devnull, os.O_RDWR)
        self._last = DAEMON
        self._answers: dict[int, tuple[int, list[int]]] = {}
        self._stack = contextlib.ExitStack()
        self._stack.callback(os.close, self._log)
        self._stack.callback(os.close, self._null)
        try:
            self._start(mounts, daemon)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, mounts: Sequence[Mount], daemon: Command) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stack.callback(self._control.close)
        self.talk, daemons = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stack.callback(self.talk.close)
        with theirs, daemons:
            process = spawn(
                self._argv(mounts, daemon),
                stdin=theirs.fileno(),
                stdout=daemons.fileno(),
                stderr=self._log,
                whole=True,
            )
            self._stack.enter_context(process)
        # The last to be set up is the first to be undone: without its socket the worker ends.
        self._stack.callback(self._control.close)

    def _argv(self, mounts: Sequence[Mount], daemon: Command) -> list[str | Path]:
        python, seen = interpreter()
        first, *bounds = daemon.limits.argv()
        words = [program(first), *bounds, program(daemon.argv[0]), *daemon.argv[1:]]
        if not self.confined:
            return [*python, WORKER, "--bare", *words]
        shown = (Mount(WORKER, WORKER_INSIDE), *seen, *mounts)
        cage = Cage(mounts=shown, fuse=True, limits=Limits())
        return cage.argv([*python, WORKER_INSIDE, *words])

    def run(self, command: Command) -> Output:
        """Run one program to its end."""
        return self.run_all([command])[0]

    def run_all(self, commands: Sequence[Command]) -> list[Output]:
        """Run programs side by side; their outputs in the order of `commands`.

        Raises BakeryError where one of them gives no end, or the worker is gone.
        """
        outputs: list[Output] = []
        for first in range(0, len(commands), TOGETHER):
            outputs += self._run_some(commands[first : first + TOGETHER])
        return outputs

    def open(self, path: str, mode: Literal["open", "edit", "make"] = "open") -> int:
        """A descriptor of a file as the cage names it; the caller closes it.

        `edit` opens it for writing too, `make` makes it, new and empty.
        """
        request = self._send(mode, [path])
        number, descriptors = self._answer(request, f"opening {path}")
        if number:
            raise BakeryError(f"{path} cannot be opened inside the cage: {os.strerror(number)}")
        return descriptors[0]

    def wait_for_daemon(self) -> int:
        """Wait until the daemon has ended; its exit code."""
        return self._answer(DAEMON, "the daemon")[0]

    def log(self) -> str:
        """What the daemon and the worker complained of, as one line."""
        return tail(_content(self._log, LOG_LIMIT_BYTES))

    def close(self) -> None:
        """End the worker and everything in the cage."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run_some(self, commands: Sequence[Command]) -> list[Output]:
        with contextlib.ExitStack() as stack:
            started = [(command, *self._launch(command, stack)) for command in commands]
            outputs = []
            for command, request, out, err in started:
                code, _ = self._answer(request, command.argv[0])
                limit = command.limits.file_bytes or 0
                kept = b"" if command.stdout is not None else _content(out, limit)
                outputs.append(Output(code, kept, _content(err, LOG_LIMIT_BYTES)))
        return outputs

    def _launch(self, command: Command, stack: contextlib.ExitStack) -> tuple[int, int, int]:
        """Ask for a program; the request, and the descriptors of its output and its complaints."""
        err = _memory(stack)
        out = command.stdout if command.stdout is not None else _memory(stack)
        bounds = (
            command.limits.memory_bytes,
            command.limits.cpu_seconds,
            command.limits.file_bytes,
        )
        words = [str(UNBOUNDED if bound is None else bound) for bound in bounds]
        words += [program(command.argv[0]), *command.argv[1:]]
        return self._send("run", words, [self._null, out, err]), out, err

    def _send(self, operation: str, words: Sequence[str], descriptors: Sequence[int] = ()) -> int:
        self._last += 1
        message = [operation, str(self._last), *words]
        try:
            socket.send_fds(self._control, [b"\0".join(map(os.fsencode, message))], descriptors)
        except OSError as error:
            raise self._gone() from error
        return self._last

    def _answer(self, request: int, what: str) -> tuple[int, list[int]]:
        """The answer to a request; those to other requests that come before are kept."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while request not in self._answers:
            self._control.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                message, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_LIMIT_BYTES, 1)
            except TimeoutError as error:
                raise BakeryError(f"{what} did not answer within {ANSWER_SECONDS:g} s") from error
            except OSError as error:
                raise self._gone() from error
            if not message:
                raise self._gone()
            for descriptor in descriptors:
                # recv_fds() takes MSG_CMSG_CLOEXEC, and ignores it.
                os.set_inheritable(descriptor, False)  # noqa: FBT003 - it has no name
            told, number = _told(message)
            self._answers[told] = (number, descriptors)
        return self._answers.pop(request)

    def _gone(self) -> BakeryError:
        reason = self.log()
        return BakeryError(
            "the confined worker has died" + (f": {reason}" if reason else ""),
            "see what this machine can do: bakery doctor",
        )


def program(name: str) -> str:
    """The full path of a program, the same inside as outside; MissingTool where there is none."""
    found = tools.find(name)
    if found is None:
        raise MissingTool(name, tools.install_hint([name]))
    return str(found)


def _told(message: bytes) -> tuple[int, int]:
    """Which request the worker answers, and by what number.

    What parses an image beside it may have taken it over.
    """
    words = message.split(b"\0")
    if len(words) != 2 or not all(ANSWER.fullmatch(word) for word in words):
        raise BakeryError("the confined worker gave an answer that makes no sense")
    return int(words[0]), int(words[1])


def _memory(stack: contextlib.ExitStack) -> int:
    descriptor = os.memfd_create("output")
    stack.callback(os.close, descriptor)
    return descriptor


def _content(descriptor: int, limit: int) -> bytes:
    return os.pread(descriptor, min(limit, os.fstat(descriptor).st_size), 0)
