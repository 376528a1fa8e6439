"""The one place of the agent that starts a program."""

import subprocess
from collections.abc import Sequence

from .errors import AgentError

Process = subprocess.Popen
OUTPUT_LIMIT = 300  # characters of a program's last words that go into an error


def call(argv: Sequence[str], timeout: float = 30.0, *, check: bool = True) -> str:
    """Run a program to its end and return its standard output; `timeout` is seconds.

    Raises AgentError where it is missing, late, or (with `check`) ends with another code than 0.
    """
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise AgentError(f"{argv[0]} did not finish within {timeout:g} s") from None
    except OSError as error:
        raise AgentError(f"{argv[0]} cannot be started: {error.strerror}") from None
    if check and done.returncode != 0:
        words = " ".join((done.stderr or done.stdout).decode("utf-8", "replace").split())
        raise AgentError(f"{argv[0]} failed ({done.returncode}): {words[-OUTPUT_LIMIT:]}")
    return done.stdout.decode("utf-8", "replace")


def listen(argv: Sequence[str]) -> Process[bytes]:
    """Start a program whose standard output is read, to its `stdout`; it says nothing else."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise AgentError(f"{argv[0]} cannot be started: {error.strerror}") from None


def start(argv: Sequence[str]) -> Process[bytes]:
    """Start a program that goes on beside the agent; its output is the console."""
    try:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise AgentError(f"{argv[0]} cannot be started: {error.strerror}") from None
