"""Labs for tests: brought up by the command, taken down whatever happens."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bakery.lab import control, state, terminal
from bakery.lab.state import Lab, Node
from tests.conftest import BAKERY

UP_SECONDS = 120
CONSOLE_SECONDS = 240
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


def command(
    folder: Path, *words: str | Path, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`bakery lab …` about the lab in `folder`."""
    return subprocess.run(
        [*prefix, BAKERY, "lab", *words],
        env=os.environ | {state.FOLDER_VARIABLE: str(folder)} | ({"HOME": "/"} if prefix else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def lab_up(folder: Path, *words: str) -> Iterator[Lab]:
    """A lab, for the length of the `with` block."""
    done = command(folder, "up", *words)
    assert done.returncode == 0, done.stderr
    try:
        yield state.load(folder)
    finally:
        control.down(folder)


def fresh(lab: Lab, name: str = "node-1") -> Node:
    """A node as the lab's record shows it now."""
    return state.load(Path(lab.folder)).node(name)


class Viewer:
    """Somebody attached to a node's console."""

    def __init__(self, node: Node) -> None:
        self.connection = terminal.connect(node.terminal)
        self.seen = ""

    def until(self, text: str) -> str:
        """What was shown up to `text`, and it; fails where it does not come."""
        deadline = time.monotonic() + CONSOLE_SECONDS
        while text not in self.seen:
            self.connection.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                piece = self.connection.recv(65536)
            except TimeoutError:
                piece = b""
            assert piece, f"'{text}' did not come; the end of what did: {self.seen[-600:]!r}"
            self.seen += piece.decode("utf-8", "replace")
        before, found, self.seen = self.seen.partition(text)
        return before + found

    def skip(self, count: int) -> None:
        """Take that many bytes and forget them."""
        self.connection.settimeout(CONSOLE_SECONDS)
        while count:
            count -= len(self.connection.recv(count))


@contextlib.contextmanager
def attached(node: Node) -> Iterator[Viewer]:
    """A viewer of the node's console, of what comes from now on; the node is off."""
    viewer = Viewer(node)
    try:
        viewer.skip(min(terminal.RECALL_BYTES, Path(node.console).stat().st_size))
        yield viewer
    finally:
        viewer.connection.close()
