"""What is fuzzed: a parser and a real input of it, and what counts as an orderly end."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bakery.host.errors import BakeryError
from bakery.netboot.http_message import Refused
from bakery.netboot.tftp import Refusal
from bakery.netboot.tftp_transfer import Broken
from bakery.node.agent.errors import AgentError

REFUSALS = (BakeryError, AgentError, Refusal, Refused, Broken)
"""What a parser may raise; each server, and the node's own half, has a kind of its own."""


class Target(NamedTuple):
    """A parser, and a real input to begin with."""

    name: str
    parse: Callable[[bytes], object]
    seed: bytes


def in_file(path: Path, parse: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser of a file, as one of bytes."""

    def parsed(data: bytes) -> object:
        path.write_bytes(data)
        return parse(path)

    return parsed


def text(data: bytes) -> str:
    """Bytes as a parser of text gets them that was decoded before."""
    return data.decode("utf-8", "replace")


def latin(data: bytes) -> str:
    """As above, where each byte is a character."""
    return data.decode("latin-1")


@contextlib.contextmanager
def said(data: bytes) -> Iterator[socket.socket]:
    """A connection whose other end has said `data`, and says nothing after it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        theirs.send(data[: 64 << 10] or b"\0")
        theirs.shutdown(socket.SHUT_WR)
        yield ours
