import io
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.console import Console
from bakery.errors import UsageError
from bakery.prove.session import Session
from bakery.prove.shell import Login, check, run_in_guest
from bakery.report import Step

SECONDS = 60.0
FAKE_LOGIN = Path(__file__).with_name("fake_login.py")


@pytest.fixture
def at_the_prompt():
    """A session with a login program (user `root`, password `secret`) on a real terminal."""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, FAKE_LOGIN, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        ) as process,
    ):
        theirs.close()
        session = Session(
            Console(ours, io.BytesIO()), Step("test", lambda _event: None), SECONDS, lambda: None
        )
        for text, _ in session.texts():
            if "login:" in text:
                break
        yield session
        process.kill()


@pytest.mark.parametrize(
    ("command", "output", "code"),
    [
        ("echo hello", "hello\n", 0),
        ("printf 'no end of line'", "no end of line\n", 0),
        ("echo one; echo; echo three >&2; exit 7", "one\n\nthree\n", 7),
        ("printf 'a\\tb' | cat; echo \"it's $((6*7)) é !\"", "a\tbit's 42 é !\n", 0),
        ("false", "", 1),
        ("seq 2000 | tail -n 1", "2000\n", 0),
        ("cat", "", 0),
    ],
)
def test_a_command_gives_its_output_and_its_exit_code(at_the_prompt, command, output, code):
    done = run_in_guest(at_the_prompt, Login("root", "secret"), command)
    assert done.problem == ""
    assert (done.output, done.exit_code) == (output, code)


def test_a_wrong_password_is_told(at_the_prompt):
    done = run_in_guest(at_the_prompt, Login("root", "wrong"), "true")
    assert done.exit_code is None
    assert done.problem == "login incorrect"


def test_a_guest_that_ends_before_the_command_is_told(at_the_prompt):
    done = run_in_guest(at_the_prompt, Login("root", "secret"), "echo so far; kill -9 $PPID")
    assert done.exit_code is None
    assert done.output == "so far\n"
    assert "ended before the command did" in done.problem


def test_output_without_end_is_bounded(at_the_prompt, monkeypatch):
    monkeypatch.setattr("bakery.prove.shell.OUTPUT_LIMIT_CHARACTERS", 1000)
    done = run_in_guest(at_the_prompt, Login("root", "secret"), "seq 100000; exit 3")
    assert done.exit_code == 3
    assert 900 < len(done.output) <= 1000


def test_what_cannot_be_typed_is_refused():
    with pytest.raises(UsageError, match="longer than"):
        check("x" * 3000, Login())
    with pytest.raises(UsageError, match="control characters"):
        check("true", Login("root\nid", ""))
