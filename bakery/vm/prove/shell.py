"""Log in at a console and run one command there: its output, and its exit code.

What is typed is echoed, and the kernel may talk in between. So the end of each exchange is a
mark that the typed line itself does not contain, made of a random word.
"""

import base64
import re
import secrets

import msgspec

from bakery.host.errors import UsageError
from bakery.vm.prove.session import Session

ATTEMPTS = 3
EXIT_CODE = re.compile(r"[0-9]{1,3}")
ANSWER_SECONDS = 60.0
OUTPUT_LIMIT_CHARACTERS = 1 << 20
# A terminal takes lines of 4095 bytes (termios(3), canonical mode); base64 adds a third.
COMMAND_LIMIT_BYTES = 2700


class Login(msgspec.Struct, frozen=True):
    """Who logs in; an empty password is typed as one."""

    user: str = "root"
    password: str = "bakery"  # noqa: S105 - the sample images' own, which are no secret


class Command(msgspec.Struct, frozen=True):
    """A command that was to be run in the guest.

    `exit_code` is None where it did not come to an end; `problem` says why.
    """

    text: str
    exit_code: int | None = None
    output: str = ""
    problem: str = ""


def check(command: str, login: Login) -> None:
    """UsageError where `command` or `login` cannot be typed at a terminal."""
    if len(command.encode()) > COMMAND_LIMIT_BYTES:
        raise UsageError(f"the command is longer than {COMMAND_LIMIT_BYTES} bytes")
    for word in (login.user, login.password):
        if not word.isprintable():
            raise UsageError("the user name or password contains control characters")


def run_in_guest(
    session: Session, login: Login, command: str, limit: int = OUTPUT_LIMIT_CHARACTERS
) -> Command:
    """Log in at the prompt that is shown and run `command` with sh(1).

    Of its output, the first `limit` characters are kept.
    """
    problem = _enter(session, login)
    if problem:
        return Command(command, problem=problem)
    mark = f"bakery-{secrets.token_hex(8)}"
    problem = _settle(session, mark)
    if problem:
        return Command(command, problem=problem)
    session.send(script(command, mark) + "\n")
    return _collect(session, command, Answer(mark, limit))


def script(command: str, mark: str) -> str:
    """The line for a shell that runs `command` without input, its output between two marks."""
    encoded = base64.b64encode(command.encode()).decode()
    return (
        f"printf '\\n%s-%s\\n' {mark} begin; "
        f'sh -c "$(echo {encoded} | base64 -d)" </dev/null 2>&1; '
        f"printf '\\n%s-%s-%d\\n' {mark} end $?"
    )


class Answer:
    """What such a line has printed so far: `begun`, and `ended` once its last mark was read."""

    def __init__(self, mark: str, limit: int) -> None:
        self.begun = self.ended = False
        self._mark = mark
        self._room = limit
        self._output: list[str] = []
        self._exit_code: int | None = None

    def line(self, text: str) -> None:
        """Take one whole line."""
        if text.startswith(f"{self._mark}-end-"):
            code = text.removeprefix(f"{self._mark}-end-").strip()
            self._exit_code = int(code) if EXIT_CODE.fullmatch(code) else None
            self.ended = True
        elif self.begun and self._room > 0:
            self._output.append(text[: self._room])
            self._room -= len(text) + 1
        self.begun = self.begun or text.strip() == f"{self._mark}-begin"

    def command(self, text: str, problem: str = "") -> Command:
        """What became of the command `text`, as far as is known."""
        return Command(text, self._exit_code, _joined(self._output), problem)


def _enter(session: Session, login: Login) -> str:
    """Give name and password; answers the problem, or nothing."""
    session.send(login.user + "\n")
    for _ in range(ATTEMPTS):
        for text, whole in session.texts(ANSWER_SECONDS):
            if not whole and text.rstrip().lower().endswith("password:"):
                session.send(login.password + "\n")
                return ""
            if not whole and text.rstrip().endswith(("#", "$")):
                return ""  # no password is asked of this user
        if session.over:
            break
        session.send("\n" + login.user + "\n")
    return "the login program did not ask for a password"


def _settle(session: Session, mark: str) -> str:
    """Type until a shell answers; answers the problem, or nothing.

    Between the password and the shell, typed text is thrown away, so it is typed again.
    """
    wanted = f"{mark}-ready"
    for _ in range(ATTEMPTS * 2):
        prompted = False
        for text, whole in session.texts(ANSWER_SECONDS / ATTEMPTS):
            if whole and text.strip() == wanted:
                return ""
            if "Login incorrect" in text:
                return "login incorrect"
            if not prompted and not whole and text.rstrip().endswith(("#", "$", ">", "%")):
                prompted = True
                session.send(_ready_line(mark))
        if session.over:
            break
        session.send(_ready_line(mark))
    return "no shell answered"


def _ready_line(mark: str) -> str:
    """Quiet the kernel and the echo, then print the mark."""
    return f"dmesg -n 1 2>/dev/null; stty -echo; printf '\\n%s-%s\\n' {mark} ready\n"


def _collect(session: Session, command: str, answer: Answer) -> Command:
    for text, whole in session.texts():
        if whole:
            answer.line(text)
        if answer.ended:
            return answer.command(command)
    problem = "the guest ended" if session.console.closed else "time ran out"
    return answer.command(command, f"{problem} before the command finished")


def _joined(lines: list[str]) -> str:
    """The output, without the empty line the end mark brings along."""
    kept = lines[:-1] if lines and not lines[-1] else lines
    return "".join(line + "\n" for line in kept)
