"""The port where a node waits for the conductor's word, and for nobody else's."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from bakery.node.agent import proof
from bakery.node.agent.errors import AgentError
from bakery.node.agent.notice import WORDS_LIMIT, Notice

WORD = proof.word("the-key")


def tell(port: int, words: bytes, source: str = "127.0.0.1") -> None:
    with socket.create_connection(("127.0.0.1", port), source_address=(source, 0)) as link:
        link.sendall(words)


@contextlib.contextmanager
def waiting() -> Iterator[tuple[int, threading.Thread]]:
    """The port, and the thread that ends when the waiting does; the word comes at the end."""
    with Notice(WORD, "127.0.0.1", 0) as notice:
        waiter = threading.Thread(target=notice.wait, daemon=True)
        waiter.start()
        yield notice.port, waiter
        tell(notice.port, WORD.encode())
        waiter.join(5)
        assert not waiter.is_alive()


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"done",
        b"done\n",
        b"the-key",
        proof.word("an-old-key").encode(),
        WORD.encode()[:-1],
        WORD.encode() + b"x",
        b"x" * WORDS_LIMIT * 2,
        b"\xff\x00" * 8,
    ],
)
def test_what_is_not_the_conductors_word_leaves_the_node_waiting(words):
    with waiting() as (port, waiter):
        with contextlib.suppress(ConnectionError):
            tell(port, words)
        waiter.join(0.2)
        assert waiter.is_alive()


def test_the_word_itself_from_another_address_leaves_the_node_waiting():
    with waiting() as (port, waiter):
        tell(port, WORD.encode(), "127.0.0.9")
        waiter.join(0.2)
        assert waiter.is_alive()


def test_a_stranger_who_says_nothing_and_stays_does_not_keep_the_word_away():
    with contextlib.ExitStack() as held, waiting() as (port, _):
        for _ in range(8):  # they are still there when `waiting` says the word
            place = ("127.0.0.9", 0)
            link = socket.create_connection(("127.0.0.1", port), source_address=place)
            held.enter_context(link)


@pytest.mark.parametrize(
    ("word", "said"),
    [(WORD, WORD.encode()), (WORD, WORD.encode() + b"\n"), (None, b"done"), (None, b"")],
)
def test_the_word_ends_the_waiting_and_on_a_trusted_wire_everything_does(word, said):
    with Notice(word, "", 0) as notice:
        tell(notice.port, said)
        notice.wait()


def test_a_port_that_is_taken_is_an_error():
    with (
        socket.create_server(("", 0)) as taken,
        pytest.raises(AgentError, match="cannot be opened"),
    ):
        Notice(WORD, "", taken.getsockname()[1])


def test_whoever_waits_is_told_when_the_port_is_closed():
    with Notice(WORD, "", 0) as notice:
        pass
    with pytest.raises(AgentError, match="was closed"):
        notice.wait()
