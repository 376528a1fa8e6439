"""guestfish(1) as a process that is asked one command at a time.

Commands go to its standard input, each behind a `-` (EXIT ON ERROR BEHAVIOUR: an error does not
end the session) and followed by `echo TOKEN`; the answer is what standard output holds before
the token. A command failed if it left anything on standard error. guestfish reads its input in
pieces of 8191 bytes and takes what is left of a longer line for a line of its own, so longer
lines are refused here; control characters are sent as escapes (QUOTING).
"""

import contextlib
import os
import re
import secrets
import selectors
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bakery.host import run
from bakery.host.errors import BakeryError
from bakery.host.printable import shown

LINE_LIMIT_BYTES = 8000
ANSWER_LIMIT_BYTES = 16 << 20
ERROR_LIMIT_CHARACTERS = 400
ERROR_LIMIT_LINES = 2
ANSWER_SECONDS = 180.0
END_SECONDS = 60.0

NUMBER = re.compile(r"[0-9]{1,20}")
_WHERE = re.compile(r"^(\*stdin\*:[0-9]+: )?(libguestfs: )?(error: )?")


class CommandRefused(BakeryError):
    """guestfish could not do what it was asked; the message is its own reason."""


class GuestfishEnded(BakeryError):
    """The process is gone, or was stopped because it gave no answer."""


class Guestfish:
    """One guestfish process. Must be used from the thread that made it, which must outlive it."""

    def __init__(self, argv: Sequence[run.Arg], env: Mapping[str, str], cwd: Path) -> None:
        self._stack = contextlib.ExitStack()
        self._process = self._stack.enter_context(
            run.spawn(
                argv,
                stdin=run.PIPE,
                stdout=run.PIPE,
                stderr=run.PIPE,
                env=env,
                cwd=cwd,
            )
        )
        self._token = secrets.token_hex(16)
        self._errors = bytearray()
        self._selector = self._stack.enter_context(selectors.DefaultSelector())
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def ask(self, *words: str, timeout: float = ANSWER_SECONDS, secret: bytes | None = None) -> str:
        """Run one command and return what it printed; `timeout` is in seconds.

        `secret` is the line that the command asks for as a key (--keys-from-stdin): it stands in
        no argument of any process.

        Raises CommandRefused with guestfish's reason, GuestfishEnded where the process is gone.
        Interrupted half-way it could no longer be told which answer is whose, so it is ended.
        """
        line = command_line(*words)
        self._errors.clear()
        try:
            key = b"" if secret is None else secret + b"\n"
            self._send(
                b"-" + line + b"\n" + key + b"echo " + self._token.encode() + b"\n", words[0]
            )
            answer = self._receive(words[0], timeout)
            self._drain_errors()
        except BaseException:
            self.kill()
            raise
        if self._errors.strip():
            raise CommandRefused(reason(self._errors))
        return answer.decode("utf-8", "surrogateescape")

    def end(self) -> None:
        """Let guestfish end by itself: the appliance is shut down and its disks are complete.

        Raises GuestfishEnded where that fails; the process is gone in any case.
        """
        assert self._process.stdin is not None
        with self._stack:
            try:
                self._process.stdin.close()
                code = self._process.wait(END_SECONDS)
            except (OSError, run.TimeoutExpired) as error:
                raise GuestfishEnded("it did not exit when told to") from error
            if code != 0:
                raise GuestfishEnded(f"guestfish {run.ending(code)}")

    def kill(self) -> None:
        """End the process and everything it started, at once."""
        run.end(self._process, grace=0)
        self._stack.close()

    def _send(self, data: bytes, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: closed, by `kill`
            raise GuestfishEnded(f"the appliance had exited before '{command}'") from error

    def _receive(self, command: str, timeout: float) -> bytes:
        """What standard output brings before the token."""
        token = self._token.encode() + b"\n"
        deadline = time.monotonic() + timeout
        answer = bytearray()
        while not answer.endswith(token):
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestfishEnded(
                    f"the appliance did not answer '{command}' within {timeout:g} s"
                )
            if len(answer) > ANSWER_LIMIT_BYTES:
                raise GuestfishEnded(f"the appliance's answer to '{command}' is incomplete")
            answer += self._serve(left, command)
        return bytes(answer[: -len(token)])

    def _serve(self, seconds: float, command: str) -> bytes:
        """Wait for output, keep what is an error, return what is an answer."""
        answer = b""
        for key, _ in self._selector.select(seconds):
            piece = _read(key.fd)
            if key.fileobj is self._process.stderr:
                self._errors += (piece or b"")[: ANSWER_LIMIT_BYTES - len(self._errors)]
                if piece == b"":
                    self._selector.unregister(key.fileobj)
            elif piece == b"":
                self._drain_errors()
                words = reason(self._errors)
                raise GuestfishEnded(
                    f"the appliance exited during '{command}'" + (f": {words}" if words else "")
                )
            else:
                answer += piece or b""
        return answer

    def _drain_errors(self) -> None:
        """What standard error holds by now: a command's error is written before its token."""
        assert self._process.stderr is not None
        while piece := _read(self._process.stderr.fileno()):
            self._errors += piece[: ANSWER_LIMIT_BYTES - len(self._errors)]


def command_line(*words: str) -> bytes:
    """A command and its arguments as one line of guestfish's input, without the newline.

    Every argument is quoted, so none is taken for an option, a pipe or a home folder. Raises
    BakeryError for what guestfish cannot be told: a NUL, or a line over LINE_LIMIT_BYTES.
    """
    line = " ".join((words[0], *map(quoted, words[1:])))
    data = line.encode("utf-8", "surrogateescape")
    if len(data) > LINE_LIMIT_BYTES:
        raise BakeryError(f"a name of {len(data)} bytes is too long: {words[-1][:60]!r}…")
    return data


def number(answer: str) -> int:
    """The number from 0 on that an answer is; BakeryError where it is none.

    The appliance has read a stranger's image, and may be the stranger's by now.
    """
    text = answer.strip()
    if not NUMBER.fullmatch(text):
        raise BakeryError(f"the appliance answered {shown(text)} where a number belongs")
    return int(text)


def quoted(word: str) -> str:
    """`word` in double quotes, control characters as `\\xhh` (guestfish(1), QUOTING)."""
    if "\0" in word:
        raise BakeryError(f"a name with a NUL in it cannot be used: {word[:60]!r}")
    plain = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x01-\x1f\x7f]", lambda m: f"\\x{ord(m[0]):02x}", plain) + '"'


def reason(output: bytes | bytearray) -> str:
    """What guestfish wrote to standard error as one short line, without its own prefixes."""
    lines = run.tail(output, lines=100).split(" / ")
    text = " / ".join(_WHERE.sub("", line) for line in lines[:ERROR_LIMIT_LINES])
    return text if len(text) <= ERROR_LIMIT_CHARACTERS else text[:ERROR_LIMIT_CHARACTERS] + "…"


def _read(descriptor: int) -> bytes | None:
    """What a pipe holds now: empty at its end, None when there is nothing yet."""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return None
