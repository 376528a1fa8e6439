"""Proof that a build boots: kernel, ramdisk and base in QEMU, to a login prompt or a named end.

The base is opened read-only under an overlay that is thrown away. Layouts `pv` and `lv` are
booted as Ironic's nodes boot them: the kernel and ramdisk handed over, the base in a partition
of the disk. Layout `disk` is booted by firmware.
"""

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.kvm import Accel
from bakery.host.report import Report, Step
from bakery.host.run import PIPE, Process, TimeoutExpired, ending, spawn, tail
from bakery.manifest.manifest import Build
from bakery.vm.board import Board, acceleration_of
from bakery.vm.console import Console
from bakery.vm.machine import Machine, argv
from bakery.vm.prove.guest import Firmware, board_of, compose
from bakery.vm.prove.session import Session
from bakery.vm.prove.shell import Login, check, run_in_guest
from bakery.vm.prove.signs import Ending, Signs
from bakery.vm.prove.ssh import Door, free_port, run_by_ssh
from bakery.vm.prove.verdict import Verdict

# Enough for a large system on a slow machine.
TIMEOUT_SECONDS: dict[Accel, float] = {"kvm": 180.0, "tcg": 600.0}
# Less than a minute for a question: it is a verdict, and no time-out.
PATIENCE_SECONDS: dict[Accel, float] = {"kvm": 20.0, "tcg": 50.0}
SILENCE_SECONDS: dict[Accel, float] = {"kvm": 45.0, "tcg": 120.0}
QUIT_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True)
class Options:
    """How to prove.

    `timeout_seconds` bounds the boot and the command together; None: 180 s under KVM, 600 s
    without it, twice that for arm64. `command` is run as `login` once the login prompt is there;
    empty: none is. With `key`, the file of a private key, it is run over ssh, else at the console.
    `firmware` chooses for layout `disk`; None: BIOS where the base can be booted by it, else UEFI.
    """

    timeout_seconds: float | None = None
    command: str = ""
    login: Login = field(default_factory=Login)
    key: Path | None = None
    machine: Machine = field(default_factory=Machine)
    """Its board is the one that the build is for."""
    firmware: Firmware | None = None


def prove(build: Build, options: Options, *, console_path: Path, report: Report) -> Verdict:
    """Boot `build` and tell how far it came; the console is kept in `console_path`.

    Raises BakeryError where no boot can be tried: QEMU or UEFI firmware missing, kernel
    arguments that cannot be handed over, a console file that cannot be written.
    """
    check(options.command, options.login)
    notes: list[str] = []
    board = board_of(build, notes.append)
    accel = acceleration_of(board)
    slowness = board.slowness if accel.kind == "tcg" else 1.0
    allowed = options.timeout_seconds or TIMEOUT_SECONDS[accel.kind] * slowness
    text = f"{board.processor} boots under {accel.kind.upper()}, at most {allowed:g} s"
    options = replace(options, machine=replace(options.machine, board=board))
    try:
        with report.step("prove", text) as step:
            for note in notes:
                step.note(note)
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
        signs = Signs(PATIENCE_SECONDS[accel], SILENCE_SECONDS[accel])
        reached = _watch(session, bench, signs, allowed)
        seconds = round(step.seconds, 3)
        command = None
        if reached.outcome != "login":
            session.drain(LAST_WORDS_SECONDS)
        elif options.command and bench.door:
            command = run_by_ssh(session, bench.door, options.login, options.command)
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
    """A running QEMU: our end of its console, the process, its small files, and a way in by ssh.

    A guest that talks has those files open: once they are forgotten, not even SIGKILL leaves
    any of them behind.
    """

    connection: socket.socket
    process: Process
    forget: Callable[[], None]
    door: Door | None
    board: Board


def _set_up(
    stack: contextlib.ExitStack, build: Build, options: Options, accel: Accel, step: Step
) -> _Bench:
    """Start QEMU on `build`. A socket pair as its console loses nothing and tells of its end."""
    scratch = tempfile.TemporaryDirectory(prefix="bakery-prove-")
    folder = Path(stack.enter_context(scratch))
    door = Door(options.key, free_port()) if options.key else None
    board = options.machine.board
    guest = compose(build, board, folder, options.firmware, step.note)
    guest = replace(guest, ssh_port=door.port) if door else guest
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
    return _Bench(ours, process, scratch.cleanup, door, board)


def _open_log(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(folders.create(path), "wb")
    except OSError as error:
        raise BakeryError(
            f"the console cannot be kept in {path}: {error.strerror}",
            "choose another file with --console FILE",
        ) from error


def _watch(session: Session, bench: _Bench, signs: Signs, allowed: float) -> Ending:
    """Read the console until the boot has ended, one way or the other."""
    for text, whole in session.texts():
        found = signs.line(text) if whole else signs.prompt(text)
        if found:
            return found
    if session.console.closed:
        return _own_end(bench, signs)
    if signs.pending:
        return signs.pending
    if signs.seeking_root:
        return Ending("no-root", f"still sought after {allowed:g} s; {_so_far(signs, bench.board)}")
    return Ending("timeout", f"no login prompt within {allowed:g} s; {_so_far(signs, bench.board)}")


def _own_end(bench: _Bench, signs: Signs) -> Ending:
    """Why QEMU is gone: the guest restarted or switched off (exit code 0), or QEMU failed."""
    process = bench.process
    with contextlib.suppress(TimeoutExpired):
        process.wait(QUIT_SECONDS)
    if process.returncode == 0:
        return Ending("stopped", f"it restarted or powered off; {_so_far(signs, bench.board)}")
    if process.returncode is None:
        return Ending("qemu-failed", "QEMU closed the console")
    assert process.stderr is not None
    words = tail(process.stderr.read(), 3)  # a pipe holds no more than 64 KiB
    reason = ending(process.returncode)
    return Ending("qemu-failed", f"QEMU {reason}" + (f": {words}" if words else ""))


def _so_far(signs: Signs, board: Board) -> str:
    if signs.cause:
        return f"the console said: {signs.cause}"
    if signs.last_line:
        return f"the last line was: {signs.last_line}"
    question = f"do the kernel arguments name console={board.console}?"
    return f"nothing was printed on the serial console ({question})"
