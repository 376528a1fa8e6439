import socket
import threading

import pytest

from bakery.agent.errors import AgentError
from bakery.agent.notice import WORDS_LIMIT, Notice


def tell(port: int, words: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(words)


@pytest.mark.parametrize(("words", "heard"), [(b"done", "done"), (b"done\n", "done"), (b"", "")])
def test_whoever_connects_and_closes_is_the_notice(words, heard):
    with Notice(0) as notice:
        teller = threading.Thread(target=tell, args=(notice.port, words))
        teller.start()
        assert notice.wait() == heard
        teller.join()


def test_a_notice_that_comes_before_it_is_waited_for_is_not_lost():
    with Notice(0) as notice:
        tell(notice.port, b"done")
        assert notice.wait() == "done"


def test_more_words_than_a_notice_has_are_not_waited_for():
    with Notice(0) as notice, socket.create_connection(("127.0.0.1", notice.port)) as link:
        link.sendall(b"x" * WORDS_LIMIT * 2)
        assert notice.wait() == "x" * WORDS_LIMIT


def test_a_port_that_is_taken_is_an_error():
    with (
        socket.create_server(("", 0)) as taken,
        pytest.raises(AgentError, match="cannot be opened"),
    ):
        Notice(taken.getsockname()[1])
