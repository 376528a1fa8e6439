"""What a program that talks to a BMC tells of it, in JSON on its standard output."""

import sys
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from bakery.bmc.bmc import Power

R = TypeVar("R")
Kind = Literal[
    "",
    "unreachable",
    "untrusted",
    "no-answer",
    "denied",
    "refused",
    "not-offered",
    "busy",
    "late",
]


class Answer(msgspec.Struct, frozen=True):
    """The node's power or its identity; or what kind of failure it was, with the BMC's own words.

    `hint` is the way out, where it is another than usual for that kind.
    """

    power: Power | None = None
    kind: Kind = ""
    words: str = ""
    hint: str = ""
    serial: str | None = None
    macs: tuple[str, ...] | None = None


class Failure(Exception):
    """The order was not carried out; `busy` and `no-answer` may pass."""

    def __init__(self, kind: Kind, words: str = "", hint: str = "") -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words
        self.hint = hint

    def answer(self) -> Answer:
        """What is told of it."""
        return Answer(kind=self.kind, words=self.words, hint=self.hint)


def serve(kind: type[R], perform: Callable[[R], Answer]) -> None:
    """Read a request of that kind from standard input, and write its answer."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    sys.stdout.buffer.write(msgspec.json.encode(perform(request)))
    sys.stdout.buffer.flush()
