"""A terminal at a node's console: pipes or a pseudo-terminal, and the console's own socket."""

import os
import pty
import socket
import termios
import threading

import pytest

from bakery.lab.attach import attach
from tests.lab.machines import until

SECONDS = 30


class Attached:
    """`attach` at work in a thread: the node's end, the keyboard's end, and what is shown."""

    def __init__(self, keys, keyboard, screen) -> None:
        self.ours, self.node = socket.socketpair()
        self.node.settimeout(SECONDS)
        self.keys, self.keyboard, self.screen = keys, keyboard, screen
        self.left: list[bool] = []
        self.thread = threading.Thread(target=self._attach, daemon=True)
        self.thread.start()

    def _attach(self) -> None:
        self.left.append(attach(self.ours, self.keys, self.screen.fileno()))

    def ends(self) -> bool:
        """Whether the person left; fails where it goes on."""
        self.thread.join(SECONDS)
        assert self.left, "it goes on"
        return self.left[0]

    def shown(self) -> bytes:
        return os.pread(self.screen.fileno(), 1 << 20, 0)


@pytest.fixture
def attached(tmp_path):
    keys, keyboard = os.pipe()
    with (tmp_path / "screen").open("w+b") as screen:
        person = Attached(keys, keyboard, screen)
        yield person
        person.node.close()
        person.thread.join(SECONDS)
        person.ours.close()
    os.close(keys)
    if person.keyboard >= 0:
        os.close(person.keyboard)


def test_keys_go_to_the_console_until_the_one_that_leaves(attached):
    attached.node.send(b"hello")
    os.write(attached.keyboard, b"ls\r")
    assert attached.node.recv(100) == b"ls\r"
    os.write(attached.keyboard, b"q\x1dnever")
    assert attached.ends() is True
    attached.ours.close()
    assert attached.node.recv(100) == b"q"
    assert attached.shown() == b"hello"


def test_a_console_that_ends_ends_it(attached):
    attached.node.send(b"the last words")
    attached.node.shutdown(socket.SHUT_WR)
    assert attached.ends() is False
    assert attached.shown() == b"the last words"


def test_a_console_that_is_torn_away_ends_it(attached):
    os.write(attached.keyboard, b"nobody reads this")
    until(lambda: attached.node.recv(1, socket.MSG_PEEK))
    attached.node.close()
    assert attached.ends() is False


def test_where_the_keys_end_showing_goes_on(attached):
    os.close(attached.keyboard)
    attached.keyboard = -1
    for word in (b"one ", b"two"):
        attached.node.send(word)
        until(lambda: word in attached.shown())  # noqa: B023 - it is asked at once
    assert attached.left == []
    attached.node.close()
    assert attached.ends() is False


def test_all_of_a_long_output_is_shown(attached):
    text = os.urandom(300_000)
    attached.node.sendall(text)
    until(lambda: len(attached.shown()) == len(text))
    assert attached.shown() == text


def test_every_key_of_a_terminal_is_the_nodes_and_the_terminal_is_as_before(tmp_path):
    keyboard, keys = pty.openpty()
    before = termios.tcgetattr(keys)
    with (tmp_path / "screen").open("w+b") as screen:
        person = Attached(keys, keyboard, screen)
        until(lambda: not termios.tcgetattr(keys)[3] & (termios.ICANON | termios.ISIG))
        os.write(keyboard, b"\x03")
        assert person.node.recv(10) == b"\x03", "Ctrl-C"
        os.write(keyboard, b"\x1d")
        assert person.ends() is True
        assert termios.tcgetattr(keys) == before
        person.node.close()
        person.ours.close()
    os.close(keys)
    os.close(keyboard)
