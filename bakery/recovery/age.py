"""The `age` program by a pipe: encrypts and decrypts as the bytes stream by.

It gives plain text out chunk by chunk, each of them authentic, and tells by its exit code alone
whether the end has come (https://github.com/FiloSottile/age/blob/main/doc/age.1.ronn).
"""

import contextlib
import os
from collections.abc import Generator, Iterator
from typing import BinaryIO

from bakery.host.errors import BakeryError
from bakery.host.run import PIPE, CommandFailed, Process, run, spawn, tail
from bakery.recovery.header import ANOTHER_COPY

BUFFER_BYTES = 64 << 10
SAID_LIMIT_BYTES = 4096
STDOUT = "/dev/stdout"  # as it names what bakery names for itself
NOT_FOR_THIS_KEY = "no identity matched any of the recipients"
SAME_PAIR = "name the private key of the pair that the archive was sealed for"


class AgeFailed(Exception):
    """age ended badly; the message is its own reason, in one printable line."""


def check_recipient(recipient: str) -> None:
    """AgeFailed where age takes no such public key."""
    _tried(["age", "-r", recipient], b"")


def check_identity(identity: str) -> None:
    """AgeFailed where that is none of age's own private keys."""
    _tried(["age-keygen", "-y"], identity.encode())


class Encryption:
    """Encrypts what is written to it."""

    def __init__(self, process: Process) -> None:
        assert process.stdin
        self._process = process
        self._stdin = process.stdin

    def write(self, content: bytes) -> None:
        """Take more; AgeFailed where age has ended."""
        with self._asked_why():
            self._stdin.write(content)

    def finish(self) -> None:
        """Wait until all of it is written; AgeFailed where it is not."""
        with self._asked_why():
            self._stdin.close()
        _check_end(self._process)

    @contextlib.contextmanager
    def _asked_why(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _check_end(self._process)
            raise


@contextlib.contextmanager
def encrypting(recipient: str, descriptor: int) -> Iterator[Encryption]:
    """What encrypts for `recipient` into the open file `descriptor`.

    Unless it is told to finish, the block ends age where it is.
    """
    argv = ["age", "-r", recipient]
    with spawn(argv, stdin=PIPE, stdout=descriptor, stderr=PIPE) as process:
        yield Encryption(process)


def decrypted(file: BinaryIO, identity: str) -> Generator[bytes]:
    """The plain bytes of an age file, from its first byte on; each of them is authentic.

    Raises BakeryError where they do not go on to the end that was sealed: the file is whole only
    where this ends well.
    """
    file.seek(0)
    given = 0
    with _in_memory(identity) as key:
        argv = ["age", "-d", "-i", f"/dev/fd/{key}"]
        with spawn(argv, stdin=file, stdout=PIPE, stderr=PIPE, pass_fds=(key,)) as process:
            assert process.stdout
            while piece := os.read(process.stdout.fileno(), BUFFER_BYTES):
                yield piece
                given += len(piece)
            try:
                _check_end(process)
            except AgeFailed as failed:
                raise _unreadable(str(failed), given) from None


def _unreadable(reason: str, given: int) -> BakeryError:
    if reason == NOT_FOR_THIS_KEY:
        return BakeryError("it was not sealed for this key", SAME_PAIR)
    return BakeryError(
        f"it was altered or cut short, which age saw after {given} bytes: {reason}", ANOTHER_COPY
    )


@contextlib.contextmanager
def _in_memory(identity: str) -> Iterator[int]:
    """A descriptor of a file that is in memory alone, with a private key in it."""
    descriptor = os.memfd_create("identity")
    try:
        os.write(descriptor, identity.encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _tried(argv: list[str], stdin: bytes) -> None:
    try:
        run(argv, stdin=stdin)
    except CommandFailed as failed:
        raise AgeFailed(_reason(failed.tail)) from None


def _check_end(process: Process) -> None:
    """Wait for the end; AgeFailed where it is a bad one."""
    assert process.stderr
    said = process.stderr.read(SAID_LIMIT_BYTES)
    if code := process.wait():
        raise AgeFailed(_reason(tail(said)) or f"age ended with {code}")


def _reason(said: str) -> str:
    """What went wrong, out of what age said: its name and its address for reports left out."""
    first = said.partition(" / ")[0]
    return (
        first.removeprefix("age: error: ")
        .removeprefix("age-keygen: error: ")
        .rpartition(f"{STDOUT}: ")[2]
    )
