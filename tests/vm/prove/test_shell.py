import io
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bakery.host.errors import UsageError
from bakery.host.report import Step
from bakery.vm.console import Console
from bakery.vm.prove.session import Session
from bakery.vm.prove.shell import Answer, Login, check, run_in_guest

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
            Console(ours, io.BytesIO()),
            Step("test", lambda _event: None, 0.1),
            SECONDS,
            lambda: None,
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
    assert "ended before the command finished" in done.problem


def test_output_without_end_is_bounded(at_the_prompt):
    words = "seq 100000; exit 3"
    done = run_in_guest(at_the_prompt, Login("root", "secret"), words, limit=1000)
    assert done.exit_code == 3
    assert 900 < len(done.output) <= 1000


class Scripted:
    """A guest that answers each waiting with what is next of its script; over behind the last."""

    def __init__(self, *said):
        self.said = list(said)
        self.typed: list[str] = []
        self.console = SimpleNamespace(closed=False)
        self.waited: list[float | None] = []

    @property
    def over(self):
        return not self.said

    def send(self, text):
        self.typed.append(text)

    def texts(self, seconds=None):
        self.waited.append(seconds)
        for text, whole in self.said.pop(0) if self.said else ():
            mark = next((word for line in self.typed for word in MARK.findall(line)), "")
            yield text.replace("MARK", mark), whole


MARK = re.compile(r"bakery-[0-9a-f]{16}")
READY = [("$ ", False), ("MARK-ready", True)]
DONE = [("MARK-begin", True), ("out", True), ("", True), ("MARK-end-0", True)]


def ran(*said, limit=100):
    guest = Scripted(*said)
    session = cast("Session", guest)
    return run_in_guest(session, Login("me", "pass"), "true", limit), guest


def test_a_user_without_a_password_is_let_in_by_the_prompt():
    for prompt in ("me@host:~# ", "$ "):
        done, guest = ran([("Welcome # 1", True), (prompt, False)], READY, DONE)
        assert (done.exit_code, done.output, done.problem) == (0, "out\n", "")
        assert "pass\n" not in guest.typed


def test_a_password_is_given_when_it_is_asked_for():
    asked = [("Password: is asked", True), ("Password", False), ("PASSWORD: ", False)]
    done, guest = ran(asked, READY, DONE)
    assert done.exit_code == 0
    assert guest.typed[:2] == ["me\n", "pass\n"]
    assert guest.waited == [60, 20, None]


def test_a_name_that_was_not_heard_is_typed_again():
    done, guest = ran([], [("Password:", False)], READY, DONE)
    assert done.exit_code == 0
    assert guest.typed[:3] == ["me\n", "\nme\n", "pass\n"]


def test_a_login_that_never_asks_is_given_up():
    done, guest = ran([], [], [], [], [])
    assert done.problem == "the login program did not ask for a password"
    assert len(guest.waited) == 3
    done, guest = ran([])
    assert done.problem == "the login program did not ask for a password"
    assert guest.typed == ["me\n"]


def test_a_shell_that_never_answers_is_given_up():
    done, guest = ran([("Password:", False)], *[[]] * 10)
    assert done.problem == "no shell answered"
    assert len(guest.waited) == 7
    done, guest = ran([("Password:", False)], [])
    assert done.problem == "no shell answered"
    assert len(guest.typed) == 2


@pytest.mark.parametrize("prompt", ["#", "$ ", "zsh% ", "fish> "])
def test_a_prompt_is_answered_once(prompt):
    prompts = [("# in a line", True), ("no prompt", False), (prompt, False), (prompt, False)]
    done, guest = ran([("Password:", False)], [*prompts, READY[-1]], DONE)
    assert done.exit_code == 0
    assert len([line for line in guest.typed if " ready" in line]) == 1


def test_what_was_typed_too_early_is_typed_again():
    done, guest = ran([("Password:", False)], [("$ ", False)], [READY[-1]], DONE)
    assert done.exit_code == 0
    assert len([line for line in guest.typed if " ready" in line]) == 2


def test_only_what_stands_between_the_marks_is_output():
    begun = [("MARK-begin", False), ("before", True), ("MARK-begin", True), ("half", False)]
    ended = [("in", True), ("MARK-end-", False), ("MARK-end-3", True), ("after", True)]
    done, _ = ran([("Password:", False)], READY, begun + ended)
    assert (done.output, done.exit_code) == ("in\n", 3)


def test_output_is_cut_where_the_room_ends():
    lines = [("MARK-begin", True), *((word, True) for word in ("abc", "def", "ghi"))]
    done, _ = ran([("Password:", False)], READY, [*lines, ("MARK-end-0", True)], limit=5)
    assert (done.output, done.exit_code) == ("abc\nd\n", 0)


def test_an_exit_code_that_is_none_is_no_end_in_good_health():
    done, _ = ran([("Password:", False)], READY, [("MARK-end-x", True)])
    assert (done.exit_code, done.output) == (None, "")


def test_a_command_that_takes_too_long_is_told():
    done, _ = ran([("Password:", False)], READY, [("MARK-begin", True), ("so far", True)])
    assert (done.output, done.exit_code) == ("so far\n", None)
    assert done.problem == "time ran out before the command finished"


def test_what_is_as_long_as_a_line_may_be_can_be_typed():
    check("x" * 2700, Login())
    with pytest.raises(UsageError, match="longer than 2700 bytes"):
        check("é" * 1351, Login())


def test_what_cannot_be_typed_is_refused():
    with pytest.raises(UsageError, match="longer than"):
        check("x" * 3000, Login())
    with pytest.raises(UsageError, match="control characters"):
        check("true", Login("root\nid", ""))


@pytest.mark.parametrize("code", ["1000", "-1", "²", "x", ""])
def test_an_exit_code_that_is_none_is_not_known(code):
    answer = Answer("MARK", 100)
    for line in ("MARK-begin", f"MARK-end-{code}"):
        answer.line(line)
    assert answer.ended
    assert answer.command("id").exit_code is None
