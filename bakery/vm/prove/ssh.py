"""Run one command in a guest over ssh(1), by a key that its image trusts.

A port of this machine's loopback leads to port 22 of the guest, which reaches nothing by itself.
The guest's own key is not asked for: it is whoever QEMU started, and gets no secret of ours.
"""

import os
import secrets
import socket
import time
from pathlib import Path

import msgspec

from bakery.host.run import PIPE, Process, spawn, tail
from bakery.vm.console import READ_BYTES, Lines
from bakery.vm.prove.session import Session
from bakery.vm.prove.shell import OUTPUT_LIMIT_CHARACTERS, Answer, Command, Login, script

HOST = "127.0.0.1"
# sshd may come up behind the login prompt, and makes its keys at a first boot.
REACHED_SECONDS = 120.0
PAUSE_SECONDS = 1.0
OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "20",
    "ForwardAgent": "no",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "LogLevel": "ERROR",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
}
REFUSED = "Permission denied"


class Door(msgspec.Struct, frozen=True):
    """A way into a guest: the private key's file, and the port of HOST that leads there."""

    key: Path
    port: int


def free_port() -> int:
    """A port of HOST that nobody listens at; where one is quicker, QEMU says so and ends."""
    with socket.socket() as trial:
        trial.bind((HOST, 0))
        port: int = trial.getsockname()[1]
        return port


def run_by_ssh(
    session: Session,
    door: Door,
    login: Login,
    command: str,
    limit: int = OUTPUT_LIMIT_CHARACTERS,
    reached_seconds: float = REACHED_SECONDS,
) -> Command:
    """Run `command` with sh(1) as `login.user`; the first `limit` characters of output are kept.

    The console goes on being read. A guest that cannot be reached is tried for `reached_seconds`.
    """
    until = time.monotonic() + reached_seconds
    while True:
        answer, words = _try(session, door, login, command, limit)
        if answer.begun or REFUSED in words or time.monotonic() >= until or session.over:
            break
        for _ in session.texts(PAUSE_SECONDS):
            pass
    if answer.ended:
        return answer.command(command)
    if answer.begun:
        problem = words or ("the guest ended" if session.console.closed else "time ran out")
        return answer.command(command, f"{problem} before the command finished")
    return answer.command(command, f"ssh did not get in: {words or 'time ran out'}")


def _try(
    session: Session, door: Door, login: Login, command: str, limit: int
) -> tuple[Answer, str]:
    """One connection: what came of it, and ssh's own words where it ended badly."""
    mark = f"bakery-{secrets.token_hex(8)}"
    answer = Answer(mark, limit)
    words = [word for pair in OPTIONS.items() for word in ("-o", "=".join(pair))]
    place = ["-i", str(door.key.absolute()), "-p", str(door.port), "-l", login.user, HOST]
    argv = ["ssh", "-F", "none", "-T", *words, *place, script(command, mark)]
    with spawn(argv, stdout=PIPE, stderr=PIPE) as process:
        _follow(session, process, answer)
        ended = process.poll()
        assert process.stderr is not None
        said = tail(_what_is_there(process.stderr.fileno()), 3) if ended else ""
    return answer, said


def _follow(session: Session, process: Process, answer: Answer) -> None:
    """Take what ssh prints until it ends; the console's texts come a few times a second."""
    assert process.stdout is not None
    lines, pipe = Lines(), process.stdout.fileno()
    os.set_blocking(pipe, False)
    for _ in session.texts():
        over = process.poll() is not None
        for line in lines.feed(_what_is_there(pipe)):
            answer.line(line)
        if over or answer.ended:
            return


def _what_is_there(pipe: int) -> bytes:
    """What a pipe holds now; no more than a pipe can."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, READ_BYTES)
    except BlockingIOError:
        return b""
