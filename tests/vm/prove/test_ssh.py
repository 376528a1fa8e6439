"""Commands over ssh: a real sshd (dropbear) stands in for the guest's, in a home of its own."""

import io
import os
import pwd
import socket
import time
from pathlib import Path

import pytest

from bakery.host.report import Step
from bakery.host.run import run, spawn
from bakery.vm.console import Console
from bakery.vm.prove.session import Session
from bakery.vm.prove.shell import Command, Login
from bakery.vm.prove.ssh import HOST, Door, free_port, run_by_ssh

LONG_SECONDS = 60.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    """A folder with a key that the server knows, and one that it does not."""
    folder: Path = tmp_path_factory.mktemp("keys")
    for name in ("known", "other"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    (folder / "authorized_keys").write_bytes((folder / "known.pub").read_bytes())
    return folder


@pytest.fixture(scope="module")
def door(keys):
    """The way to a server that lets `known` in as the user at work; nobody's home is touched."""
    port, home = free_port(), Path.home()
    caged = ["bwrap", "--dev-bind", "/", "/", "--bind", keys, keys, "--tmpfs", home]
    caged += ["--dir", home / ".ssh", "--bind", keys / "authorized_keys"]
    caged += [home / ".ssh/authorized_keys", "--chmod", "0700", home, "--"]
    host_key = ["-r", keys / "host"]
    run(["dropbearkey", "-t", "ed25519", "-f", keys / "host"])
    with spawn([*caged, "dropbear", "-F", "-E", "-s", "-p", f"{HOST}:{port}", *host_key]) as server:
        deadline = time.monotonic() + LONG_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            with socket.socket() as trial:
                if trial.connect_ex((HOST, port)) == 0:
                    break
            time.sleep(0.05)
        yield Door(keys / "known", port)


@pytest.fixture
def guest():
    """A session of a guest that says nothing, and the guest's end of its console."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        step = Step("test", lambda _event: None, 0.1)
        yield Session(Console(ours, io.BytesIO()), step, LONG_SECONDS, lambda: None), theirs


@pytest.fixture
def me() -> Login:
    return Login(pwd.getpwuid(os.geteuid()).pw_name)


@pytest.mark.parametrize(
    ("command", "output", "code"),
    [
        ("echo one; echo two >&2; exit 7", "one\ntwo\n", 7),
        ("cat; printf 'no end of line'", "no end of line\n", 0),
        ("exit 255", "", 255),
    ],
)
def test_a_command_gives_its_output_and_its_exit_code(guest, door, me, command, output, code):
    done = run_by_ssh(guest[0], door, me, command)
    assert done == Command(command, code, output)


def test_output_without_end_is_bounded(guest, door, me):
    done = run_by_ssh(guest[0], door, me, "seq 100000; exit 3", limit=1000)
    assert done.exit_code == 3
    assert 900 < len(done.output) <= 1000


def test_a_key_that_the_guest_does_not_know_is_told_at_once(guest, door, me, keys):
    done = run_by_ssh(guest[0], Door(keys / "other", door.port), me, "true")
    assert done.exit_code is None
    assert "Permission denied" in done.problem


def test_a_guest_without_a_server_is_given_up_with_what_ssh_said(guest, keys, me):
    nobody = Door(keys / "known", free_port())
    done = run_by_ssh(guest[0], nobody, me, "true", reached_seconds=0.5)
    assert done.exit_code is None
    assert "ssh did not get in" in done.problem and "refused" in done.problem


def test_a_guest_that_ends_while_the_command_runs_is_told(guest, door, me):
    session, console = guest
    console.close()
    session.console.read(1)
    done = run_by_ssh(session, door, me, "sleep 600")
    assert done.exit_code is None and done.problem
