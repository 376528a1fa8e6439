"""Proof that a build boots: kernel, ramdisk and base in QEMU, to a login prompt or a named end.

The base is opened read-only under an overlay that is thrown away. Layouts `pv` and `lv` are
booted as Ironic's nodes boot them: the kernel and ramdisk handed over, the base in a partition
of the disk. Layout `disk` is booted by firmware.
"""

import contextlib
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bakery.console import Console
from bakery.errors import BakeryError
from bakery.kvm import Accel, examine
from bakery.machine import Machine, argv
from bakery.manifest import Build
from bakery.prove.guest import Firmware, compose
from bakery.prove.session import Session
from bakery.prove.shell import Command, Login, check, run_in_guest
from bakery.prove.signs import Ending, Signs
from bakery.prove.verdict import Verdict
from bakery.report import Report, Step
from bakery.run import PIPE, Process, TimeoutExpired, ending, spawn, tail

__all__ = ["Command", "Firmware", "Login", "Options", "Verdict", "default_timeout", "prove"]

KVM_TIMEOUT_SECONDS = 180.0
TCG_TIMEOUT_SECONDS = 600.0
QUIT_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True)
class Options:
    """How to prove.

    `timeout_seconds` bounds the boot and the command together; None: 180 s under KVM, 600 s
    without it. `command` is run as `login` once the login prompt is there; empty: none is.
    `firmware` chooses for layout `disk`; None: BIOS
    where the base can be booted by it, else UEFI.
    """

    timeout_seconds: float | None = None
    command: str = ""
    login: Login = field(default_factory=Login)
    machine: Machine = field(default_factory=Machine)
    firmware: Firmware | None = None


def default_timeout(accel: Accel) -> float:
    """Seconds enough for a large system on a slow machine."""
    return KVM_TIMEOUT_SECONDS if accel == "kvm" else TCG_TIMEOUT_SECONDS


def prove(build: Build, options: Options, *, console_path: Path, report: Report) -> Verdict:
    """Boot `build` and tell how far it came; the console is kept in `console_path`.

    Raises BakeryError where no boot can be tried: QEMU or UEFI firmware missing, kernel
    arguments that cannot be handed over, a console file that cannot be written.
    """
    check(options.command, options.login)
    accel = examine()
    allowed = options.timeout_seconds or default_timeout(accel.kind)
    text = f"boots under {accel.kind.upper()}, at most {allowed:g} s"
    try:
        with report.step("prove", text) as step:
            if accel.kind == "tcg":
                step.note(f"no KVM, so the guest is slow: {accel.reason}")
            verdict = _try(build, options, accel.kind, allowed, console_path, step)
            if not verdict.proved:
                raise _Unproved(verdict)
            step.summary(verdict.title)
            return verdict
    except _Unproved as unproved:
        return unproved.verdict


class _Unproved(Exception):
    """Closes the step as failed; goes no farther than `prove`."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(f"{verdict.title}: {verdict.reason}")
        self.verdict = verdict


def _try(
    build: Build, options: Options, accel: Accel, allowed: float, console: Path, step: Step
) -> Verdict:
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(_open_log(console))
        bench = _set_up(stack, build, options, accel, step)
        session = Session(Console(bench.connection, log), step, allowed, bench.forget)
        reached = _watch(session, bench, allowed)
        seconds = round(step.seconds, 3)
        command = None
        if reached.outcome != "login":
            session.drain(LAST_WORDS_SECONDS)
        elif options.command:
            command = run_in_guest(session, options.login, options.command)
    return Verdict(
        reached=reached.outcome,
        reason=reached.words,
        seconds=seconds,
        accel=accel,
        console=str(console),
        command=command,
    )


@dataclass(frozen=True)
class _Bench:
    """A running QEMU: our end of its console, the process, and its small files.

    A guest that talks has those files open: once they are forgotten, not even SIGKILL leaves
    any of them behind.
    """

    connection: socket.socket
    process: Process
    forget: Callable[[], None]


def _set_up(
    stack: contextlib.ExitStack, build: Build, options: Options, accel: Accel, step: Step
) -> _Bench:
    """Start QEMU on `build`. A socket pair as its console loses nothing and tells of its end."""
    scratch = tempfile.TemporaryDirectory(prefix="bakery-prove-")
    folder = Path(stack.enter_context(scratch))
    guest = compose(build, folder, options.firmware, step.note)
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    with theirs:
        process = stack.enter_context(
            spawn(
                argv(options.machine, guest, accel),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=PIPE,
            )
        )
    return _Bench(ours, process, scratch.cleanup)


def _open_log(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise BakeryError(
            f"the console cannot be kept in {path}: {error.strerror}",
            "choose another file with --console FILE",
        ) from error


def _watch(session: Session, bench: _Bench, allowed: float) -> Ending:
    """Read the console until the boot has ended, one way or the other."""
    signs = Signs()
    for text, whole in session.texts():
        found = signs.line(text) if whole else signs.prompt(text)
        if found:
            return found
    if session.console.closed:
        return _own_end(bench.process, signs)
    if signs.seeking_root:
        return Ending("no-root", f"still sought after {allowed:g} s; {_so_far(signs)}")
    return Ending("timeout", f"no login prompt within {allowed:g} s; {_so_far(signs)}")


def _own_end(process: Process, signs: Signs) -> Ending:
    """Why QEMU is gone: the guest restarted or switched off (exit code 0), or QEMU failed."""
    with contextlib.suppress(TimeoutExpired):
        process.wait(QUIT_SECONDS)
    if process.returncode == 0:
        return Ending("stopped", f"it restarted or switched itself off; {_so_far(signs)}")
    if process.returncode is None:
        return Ending("qemu-failed", "QEMU closed the console")
    assert process.stderr is not None
    words = tail(process.stderr.read(), 3)  # a pipe holds no more than 64 KiB
    reason = ending(process.returncode)
    return Ending("qemu-failed", f"QEMU {reason}" + (f": {words}" if words else ""))


def _so_far(signs: Signs) -> str:
    if signs.cause:
        return f"the console said: {signs.cause}"
    if signs.last_line:
        return f"the last line was: {signs.last_line}"
    return "nothing came over the serial console (do the kernel arguments name console=ttyS0?)"
