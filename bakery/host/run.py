"""The only place that starts a process.

Every program is started from an argument list (never a shell), in a clean environment and a
process group of its own, with a bound on time and on what it may print. It is ended when
bakery is interrupted, and by the kernel when bakery itself is killed (prctl(2),
PR_SET_PDEATHSIG, set through setpriv); `launch` alone starts what is to stay.
"""

import contextlib
import functools
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.interrupts import held
from bakery.host.printable import printable

TAIL_LINES = 12
OUTPUT_LIMIT_BYTES = 64 << 20
STOP_GRACE_SECONDS = 2.0

Arg = str | Path

# What users of `spawn` need; nothing else in the package imports subprocess.
PIPE = subprocess.PIPE
Process = subprocess.Popen[bytes]
TimeoutExpired = subprocess.TimeoutExpired


@dataclass(frozen=True)
class Limits:
    """Resource bounds of one process (setrlimit(2)); None leaves one as it is.

    What bakery itself may not go beyond, its programs may not either.
    """

    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    file_bytes: int | None = None

    def argv(self) -> list[str]:
        """The prlimit(1) words that apply these bounds to the command behind them."""
        bounds = (
            ("as", resource.RLIMIT_AS, self.memory_bytes),
            ("cpu", resource.RLIMIT_CPU, self.cpu_seconds),
            ("fsize", resource.RLIMIT_FSIZE, self.file_bytes),
        )
        words = [
            f"--{name}={_within(kind, bound)}" for name, kind, bound in bounds if bound is not None
        ]
        return ["prlimit", *words, "--"] if words else []


def _within(kind: int, bound: int) -> int:
    """`bound`, or the hard limit where that is lower: only root may raise it (setrlimit(2))."""
    hard = resource.getrlimit(kind)[1]
    return bound if hard == resource.RLIM_INFINITY else min(bound, hard)


@dataclass(frozen=True)
class Completed:
    """A process that has ended: its exit code, and what it printed."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are shown as replacement marks."""
        return self.stdout.decode("utf-8", "replace")


class CommandFailed(BakeryError):
    """A program ended badly; the message carries its name, its end and its last words."""

    def __init__(self, program: str, reason: str, tail: str = "", returncode: int = -1) -> None:
        super().__init__(f"{program} {reason}" + (f": {tail}" if tail else ""))
        self.returncode = returncode
        self.tail = tail


def run(
    argv: Sequence[Arg],
    *,
    stdin: bytes = b"",
    timeout: float = 60.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    limits: Limits | None = None,
    on_stdout: Callable[[bytes], None] | None = None,
    output_limit: int = OUTPUT_LIMIT_BYTES,
    name: str = "",
) -> Completed:
    """Run a program to its end and return what it printed.

    `timeout` is wall seconds. `on_stdout` takes standard output piece by piece instead of its
    being kept. Raises MissingTool, or CommandFailed on a time-out, on more than `output_limit`
    bytes of output and, with `check`, on an exit code other than 0; they call the program `name`
    where one is given.
    """
    deadline = time.monotonic() + timeout
    name = name or Path(str(argv[0])).name
    with held() as owned:
        process = _start(argv, cwd=cwd, env=env, limits=limits, whole=True)
        talk = _Talk(process, stdin, on_stdout, output_limit)
        try:
            owned()
            finished = talk.until(deadline)
        except BaseException:
            end(process)
            raise
    if not finished:
        end(process, grace=0)
        reason = "printed too much" if talk.overflow else f"did not finish within {timeout:g} s"
        raise CommandFailed(name, f"{reason} and was stopped", tail(talk.stderr))
    done = Completed(process.wait(), bytes(talk.stdout), bytes(talk.stderr))
    if check and done.returncode != 0:
        raise CommandFailed(
            name, ending(done.returncode), tail(done.stderr or done.stdout), done.returncode
        )
    return done


@contextlib.contextmanager
def spawn(
    argv: Sequence[Arg],
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    whole: bool = False,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that lives as long as the `with` block; its whole group ends with it.

    With `whole` the group ends with a killed bakery too, not the program alone; the process
    that is given is the one that sees to it, not the program itself. `pass_fds` are descriptors
    that the program has too, under the same numbers.

    The thread that enters the block must outlive it: the kernel ends the program when that
    thread does (PR_SET_PDEATHSIG follows the thread, not the process).
    """
    with held() as owned:
        process = _start(
            argv,
            cwd=cwd,
            env=env,
            limits=limits,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            whole=whole,
            pass_fds=pass_fds,
        )
        try:
            owned()
            yield process
        finally:
            end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def launch(
    argv: Sequence[Arg],
    *,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one; whoever starts it sees to its end."""
    nothing = subprocess.DEVNULL
    return _start(argv, env=env, stdin=nothing, stdout=stdout, stderr=stderr, bound=False)


def end(process: subprocess.Popen[bytes], grace: float = STOP_GRACE_SECONDS) -> None:
    """Stop a process group: SIGTERM, `grace` seconds, then SIGKILL; returns when it is reaped."""
    if grace and process.poll() is None:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def ending(returncode: int) -> str:
    """An exit code in words; negative values are signals, as subprocess counts them."""
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-returncode).name}"
    return f"failed with exit code {returncode}"


def tail(output: bytes | bytearray, lines: int = TAIL_LINES) -> str:
    """The last `lines` lines of a program's output, joined by ' / '."""
    text = bytes(output[-16384:]).decode("utf-8", "replace")
    kept = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    return " / ".join(printable(line) for line in kept)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child gets to see: PATH, HOME, TMPDIR, a fixed locale, and `extra`."""
    kept = {k: os.environ[k] for k in ("HOME", "TMPDIR", "USER") if k in os.environ}
    return kept | {"PATH": tools.search_path(), "LC_ALL": "C.UTF-8"} | dict(extra or {})


def _start(
    argv: Sequence[Arg],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    stdin: int | IO[bytes] = subprocess.PIPE,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    bound: bool = True,
    whole: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    words = [str(word) for word in argv]
    program = tools.find(words[0])
    if program is None:
        raise MissingTool(words[0], tools.install_hint([words[0]]))
    guard = _guard(cwd, whole=whole) if bound and tools.find("setpriv") else []
    guard += limits.argv() if limits else []
    return subprocess.Popen(
        [*guard, str(program), *words[1:]],
        cwd=cwd,
        env=clean_environment(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _guard(cwd: Path | None, *, whole: bool) -> list[str]:
    """The words that tie a command to bakery: setpriv(1), and timeout(1) for its whole group.

    A program that was killed cannot end what it started itself. bubblewrap's child waits for
    ever where bubblewrap is killed before it wrote the user map. timeout(1) takes SIGALRM, as
    for a time that is over, and then kills the group; 0 seconds means that none is.
    """
    alive = _while_alive(os.getpid(), cwd)
    if not whole:
        return ["setpriv", "--pdeathsig", "KILL", "--", *alive]
    return ["setpriv", "--pdeathsig", "ALRM", "--", *alive, "timeout", "--signal=KILL", "0"]


def _while_alive(pid: int, cwd: Path | None) -> list[str]:
    """The words that start a command in `cwd` only while the process `pid`, bakery, is alive.

    One that was killed before setpriv(1) had asked for its death's signal sends none. Its folders
    in /proc lead nowhere as soon as it has ended, waited for or not (proc(5)), so that env(1)
    cannot enter what it is to work in, and ends. Nothing where one may not look there.
    """
    if not _looks_at(pid):
        return []
    folder = f"/proc/{pid}/root{cwd.absolute()}" if cwd else f"/proc/{pid}/cwd"
    return ["env", f"--chdir={folder}", "--"]


@functools.cache
def _looks_at(pid: int) -> bool:
    """Whether env(1) is one that can, and the kernel lets it; found out by a trial."""
    trial = ["env", f"--chdir=/proc/{pid}/cwd", "--", "true"]
    done = subprocess.run(trial, env=clean_environment(), capture_output=True, check=False)
    return done.returncode == 0


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Talk:
    """Feeds a process its input and gathers its output, both bounded, without threads."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        on_stdout: Callable[[bytes], None] | None,
        output_limit: int,
    ) -> None:
        self.process = process
        self.pending = memoryview(stdin)
        self.on_stdout = on_stdout
        self.room = output_limit
        self.overflow = False
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.selector = selectors.DefaultSelector()

    def until(self, deadline: float) -> bool:
        """Serve the pipes until the process has ended; False at the deadline or on overflow."""
        pipes = (self.process.stdin, self.process.stdout, self.process.stderr)
        assert all(pipes)
        with self.selector:
            for pipe in pipes[1:]:
                self.selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]
            self._register_stdin()
            while self.selector.get_map():
                if not self._serve_once(deadline):
                    return False
        for pipe in pipes:
            pipe.close()  # type: ignore[union-attr]
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _register_stdin(self) -> None:
        assert self.process.stdin is not None
        if self.pending:
            os.set_blocking(self.process.stdin.fileno(), False)
            self.selector.register(self.process.stdin, selectors.EVENT_WRITE)
        else:
            self.process.stdin.close()

    def _serve_once(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0 or self.overflow:
            return False
        for key, _ in self.selector.select(left):
            if key.fileobj is self.process.stdin:
                self._feed()
            else:
                self._gather(key.fileobj)  # type: ignore[arg-type]
        return True

    def _feed(self) -> None:
        assert self.process.stdin is not None
        try:
            self.pending = self.pending[os.write(self.process.stdin.fileno(), self.pending) :]
        except BrokenPipeError:
            self.pending = self.pending[:0]
        if not self.pending:
            self.selector.unregister(self.process.stdin)
            self.process.stdin.close()

    def _gather(self, pipe: IO[bytes]) -> None:
        piece = os.read(pipe.fileno(), 65536)
        if not piece:
            self.selector.unregister(pipe)
        elif pipe is self.process.stdout and self.on_stdout:
            self.on_stdout(piece)
        else:
            (self.stdout if pipe is self.process.stdout else self.stderr).extend(piece)
            self.room -= len(piece)
            self.overflow = self.room < 0
