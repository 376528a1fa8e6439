"""The frames of an image as they come to many nodes at once: by multicast, from udpcast's sender.

It sends the file of frames from its first byte to its last, encrypted: all the wire hears it, and
who has the write list has the key. What comes is believed no more than what a server gives: a frame
is what lies at its place in the signed index, and is written where it has the digest that stands
there. What does not come is fetched. Source: udp-receiver(1).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import IO

from .console import say
from .errors import AgentError
from .programs import listen
from .write_list import Work

PROGRAM = "udp-receiver"
START_SECONDS, SILENCE_SECONDS = 25, 8
LEAVE_SECONDS = 25.0
"""A sender of whom no right frame has come for so long is left, whatever else it sends."""
SKIP_BYTES = 1 << 20
RECEIVE_BYTES = 4 << 20
"""Of a burst that comes while the receiver is not at work; what does not fit is sent again."""


def frames(
    works: Iterable[Work],
    port: int,
    interface: str,
    leave: Callable[[Callable[[], None]], None] = lambda _end: None,
) -> Iterator[tuple[Work, bytes]]:
    """The frames of `works`, which lie in one file in this order, as they come.

    It ends early where nobody sends, or where what is sent breaks off. `leave` is told how to end
    it from elsewhere.
    """
    words = [PROGRAM, "--nokbd", "--interface", interface, "--portbase", str(port)]
    words += ["--start-timeout", str(START_SECONDS), "--receive-timeout", str(SILENCE_SECONDS)]
    words += ["--rcvbuf", str(RECEIVE_BYTES)]
    try:
        with listen(words) as process:
            assert process.stdout is not None
            leave(process.kill)
            try:
                yield from _cut(works, process.stdout)
            finally:
                process.kill()
    except AgentError as error:
        say(str(error))


def _cut(works: Iterable[Work], stream: IO[bytes]) -> Iterator[tuple[Work, bytes]]:
    at = 0
    for work in works:
        while at < work.chunk.offset:
            passed = len(stream.read(min(SKIP_BYTES, work.chunk.offset - at)))
            if not passed:
                return
            at += passed
        frame = stream.read(work.chunk.length)
        at += len(frame)
        if len(frame) < work.chunk.length:
            return
        yield work, frame
