"""A guest's serial console: its bytes kept in a file, its text told line by line.

The guest is not trusted: what is kept is bounded, and what is told holds no escape sequences
and no control characters, so it can be matched and shown.
"""

import codecs
import re
import select
import socket
import time
from typing import IO

LOG_LIMIT_BYTES = 16 << 20
LINE_LIMIT_CHARACTERS = 4096
READ_BYTES = 64 << 10
OPEN_LIMIT_CHARACTERS = 300
CUT_MARK = b"\n[the console file is full: the rest was left out]\n"

# ECMA-48, 5.4 and 5.6. A cursor movement to a place (CUP, HVP) begins a new text, but for one to
# where the cursor is: SeaBIOS puts such between the letters it draws. The group is the column.
CURSOR_TO = re.compile(r"\x1b\[[0-9]{0,5}(?:;([0-9]{0,5}))?[Hf]")
ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # control sequences
    r"|\x1b[PX\]^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # strings: titles, device control
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # two-character sequences
    r"|\x1b\[[0-?]*(?=[^\x00-\x7f])"  # cut short by an ellipsis, as systemd does
)
# A sequence, or a line end, that the next bytes may complete; a longer one is none.
OPEN = re.compile(
    r"(?:\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|[PX\]^_][^\x07\x1b\n]{0,256}\x1b?|[ -/]{0,8})|\r)\Z"
)


class Lines:
    """Cuts a stream of console bytes into clean lines; `partial` is the one still open."""

    def __init__(self) -> None:
        self.partial = ""
        self._raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, piece: bytes) -> list[str]:
        """The lines that `piece` completes, without their ends."""
        first, *rest = CURSOR_TO.split(self._raw + self._decoder.decode(piece))
        lines = self._write(first)
        for column, text in zip(rest[0::2], rest[1::2], strict=True):
            if not self._is_at(int(column or 1)):
                lines += self._write("\n")
            lines += self._write(text)
        return lines

    def _write(self, text: str) -> list[str]:
        """The lines that a text without cursor movements completes."""
        text, self._raw = _split_open_end(ESCAPE.sub("", text))
        text = self.partial + text.replace("\r\n", "\n").replace("\r", "\n")
        *lines, last = text.split("\n")
        self.partial = _clean(last)
        return [_clean(line) for line in lines]

    def _is_at(self, column: int) -> bool:
        """Whether the open line ends there, or one before; columns count from 1."""
        return bool(self.partial) and column in (len(self.partial), len(self.partial) + 1)


def _split_open_end(text: str) -> tuple[str, str]:
    """`text` without a tail that the next bytes may change the meaning of, and that tail."""
    found = OPEN.search(text, max(0, len(text) - OPEN_LIMIT_CHARACTERS))
    return (text[: found.start()], found[0]) if found else (text, "")


def _clean(line: str) -> str:
    return "".join(c for c in line[-LINE_LIMIT_CHARACTERS:] if c.isprintable() or c == "\t")


class Console:
    """One end of a console connection; `closed` once the other end is gone.

    Of what arrives, `limit_bytes` are kept in `log`.
    """

    def __init__(
        self, connection: socket.socket, log: IO[bytes], limit_bytes: int = LOG_LIMIT_BYTES
    ) -> None:
        self.closed = False
        self.received_bytes = 0
        self._connection = connection
        self._log = log
        self._limit_bytes = limit_bytes
        self._lines = Lines()

    @property
    def partial(self) -> str:
        """The text behind the last line end: a prompt, while one is shown."""
        return self._lines.partial

    def read(self, seconds: float) -> list[str]:
        """The lines completed by what arrives next; waits at most `seconds` for it."""
        if self.closed:
            return []
        ready, _, _ = select.select([self._connection], [], [], max(0.0, seconds))
        if not ready:
            return []
        try:
            piece = self._connection.recv(READ_BYTES)
        except ConnectionError:
            piece = b""
        if not piece:
            self.closed = True
            return self._lines.feed(b"\n")
        self._keep(piece)
        return self._lines.feed(piece)

    def send(self, text: str, seconds: float = 10.0) -> None:
        """Type `text`; what the guest does not take within `seconds` is dropped."""
        pending = memoryview(text.encode())
        deadline = time.monotonic() + seconds
        while pending and not self.closed and (left := deadline - time.monotonic()) > 0:
            _, ready, _ = select.select([], [self._connection], [], left)
            try:
                sent = self._connection.send(pending, socket.MSG_DONTWAIT) if ready else 0
            except BlockingIOError:
                continue
            except ConnectionError:
                self.closed = True
                return
            pending = pending[sent:]

    def _keep(self, piece: bytes) -> None:
        room = max(0, self._limit_bytes - self.received_bytes)
        self._log.write(piece[:room])
        if len(piece) > room and self.received_bytes <= self._limit_bytes:
            self._log.write(CUT_MARK)
        self._log.flush()
        self.received_bytes += len(piece)
