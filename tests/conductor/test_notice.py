"""The word on port 10000."""

import re
import socket

import pytest

from bakery.conductor.notice import release
from bakery.host.errors import BakeryError
from bakery.node.agent import proof
from tests.conductor.targets import free_port

WORD = proof.word("the-key")


def test_the_ramdisk_hears_the_word_and_the_end_of_the_connection():
    with socket.create_server(("127.0.0.1", 0)) as ramdisk:
        release("127.0.0.1", WORD, ramdisk.getsockname()[1])
        link, _ = ramdisk.accept()
        with link, link.makefile("rb") as words:
            assert words.read() == WORD.encode() + b"\n"


def test_a_port_that_was_never_opened_is_named():
    port = free_port()
    with pytest.raises(BakeryError, match=re.escape(f"127.0.0.1 port {port}: Connection refused")):
        release("127.0.0.1", WORD, port)


def test_a_ramdisk_that_does_not_answer_is_told_with_the_bound(monkeypatch):
    asked = []

    def connect(where, timeout):
        asked.append((where, timeout))
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(BakeryError, match=r"192\.0\.2\.7 port 10000: no answer within 10 s"):
        release("192.0.2.7", WORD)
    assert asked == [(("192.0.2.7", 10000), 10.0)]
