"""Bringing a lab up, and taking it down again."""

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

import msgspec

from bakery.host import run, tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.kvm import QEMU
from bakery.lab import network, state
from bakery.lab.keeper import Answer, Settings
from bakery.lab.state import Lab

UP_SECONDS = 60.0
DOWN_SECONDS = 20.0
ANSWER_LIMIT_BYTES = 64 << 10
PROGRAMS = (QEMU, "ip", "nsenter", "setpriv", "unshare")


def up(folder: Path, settings: Settings, *, seconds: float = UP_SECONDS) -> Lab:
    """Start a lab that stays when this process ends; what a killed one left there is cleared.

    Raises BakeryError where a lab is up in `folder`, where the folder cannot be used, where the
    machine lacks something, and where the lab takes more than `seconds`.
    """
    missing = tools.missing(PROGRAMS)
    if missing:
        raise MissingTool(missing[0], tools.install_hint(missing))
    if state.keeper_pid(folder) is not None:
        raise already_up(folder)
    entrance = network.entrance()
    settings = msgspec.structs.replace(settings, user_namespace="--user" in entrance)
    keeper = [sys.executable, "-P", "-m", "bakery.lab.keeper", str(folder)]
    process = run.launch(
        [*entrance, *keeper, msgspec.json.encode(settings).decode()],
        stdout=run.PIPE,
        stderr=run.PIPE,
    )
    try:
        answer = _answer(process, seconds)
        if answer.error:
            raise BakeryError(answer.error, answer.hint)
        return state.load(folder)
    except BaseException:
        run.end(process)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def down(folder: Path, *, seconds: float = DOWN_SECONDS) -> bool:
    """End the lab in `folder` and remove its files; whether there was anything to end or remove.

    Returns when it is gone. A keeper that does not end within `seconds` is killed. Raises
    BakeryError where it does not end.
    """
    if not (folder / state.LOCK).exists():
        return False
    pid = state.keeper_pid(folder)
    if pid is not None:
        _end(folder, pid, seconds)
    if not (folder / state.LOCK).exists():
        return True
    descriptor = state.hold(folder)
    if descriptor is None:
        raise BakeryError(f"another lab was brought up in {folder} meanwhile", "bakery lab status")
    try:
        state.remove(folder)
    finally:
        os.close(descriptor)
    return True


def already_up(folder: Path) -> BakeryError:
    """What to say where a lab is up."""
    return BakeryError(
        f"a lab is up in {folder} already",
        "bakery lab status shows it, bakery lab down ends it, --lab DIR makes a second one",
    )


def _answer(process: run.Process, seconds: float) -> Answer:
    """What a new keeper says about itself."""
    assert process.stdout is not None
    said = bytearray()
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and len(said) < ANSWER_LIMIT_BYTES:
        if not select.select([process.stdout], [], [], left)[0]:
            break
        piece = os.read(process.stdout.fileno(), ANSWER_LIMIT_BYTES)
        if not piece:
            return _understood(process, bytes(said))
        said += piece
    raise BakeryError(f"the lab did not come up within {seconds:g} s")


def _understood(process: run.Process, said: bytes) -> Answer:
    try:
        return msgspec.json.decode(said, type=Answer)
    except (msgspec.DecodeError, RecursionError):
        run.end(process)
        assert process.stderr is not None
        words = run.tail(process.stderr.read(ANSWER_LIMIT_BYTES), lines=2)
        raise BakeryError(
            "the lab's keeper ended before the lab was up" + (f": {words}" if words else "")
        ) from None


def _end(folder: Path, pid: int, seconds: float) -> None:
    """Ask the keeper to end, wait until it has, and make it where it does not."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, ValueError):
        pidfd = -1
    if pidfd < 0 or state.keeper_pid(folder) != pid:
        with contextlib.suppress(OSError):
            os.close(pidfd)
        if state.keeper_pid(folder) is None:
            return  # it has ended by itself
        raise BakeryError(f"the keeper of the lab in {folder} is in another container")
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(pidfd, number)
            if select.select([pidfd], [], [], seconds)[0]:
                return
    except ProcessLookupError:
        return
    except PermissionError:
        raise BakeryError(f"the lab in {folder} is another user's") from None
    finally:
        os.close(pidfd)
    raise BakeryError(f"the keeper of the lab (process {pid}) does not end")
