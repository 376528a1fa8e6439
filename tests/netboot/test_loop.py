"""One thread around its sockets: what it does by itself, and what must not end it."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot import loop
from bakery.netboot.loop import Loop, bound, cannot_serve, quietly
from bakery.netboot.wire_events import Trouble
from tests.lab.machines import until


class Echo(Loop):
    """Says what it hears to `heard`, or fails at it."""

    name = "echo"

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[object] = []
        super().__init__(self.told.append)
        self.heard: list[bytes] = []
        self.ticks = 0
        self.closed = self.failed = 0
        self.refuses = refuses
        self.socket = bound(socket.SOCK_DGRAM, ("127.0.0.1", 0), "echo")
        self.fails: Exception | None = None

    def open(self) -> None:
        self.watch(self.socket, self.hear)
        if self.refuses:
            raise BakeryError("no")

    def hear(self) -> None:
        data = self.socket.recv(100)
        if self.fails is not None:
            self.failed += 1
            raise self.fails
        self.heard.append(data)

    def tick(self) -> None:
        self.ticks += 1

    def closing(self) -> None:
        self.closed += 1

    def say(self, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, self.socket.getsockname())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_comes_is_taken_until_the_end_and_all_is_closed():
    before = descriptors()
    with Echo() as echo:
        for word in (b"one", b"two"):
            echo.say(word)
        until(lambda: len(echo.heard) == 2)
        assert echo.closed == 0
    assert (echo.heard, echo.closed, echo.told) == ([b"one", b"two"], 1, [])
    assert echo.socket.fileno() == -1
    assert descriptors() == before
    assert echo._thread is None
    echo.stop()
    assert echo.closed == 1


class Pair(Loop):
    """Two sockets; who hears first closes both, as a transfer may end another."""

    name = "pair"

    def __init__(self) -> None:
        self.told: list[object] = []
        super().__init__(self.told.append)
        self.heard = 0
        self.sockets = [bound(socket.SOCK_DGRAM, ("127.0.0.1", 0), "pair") for _ in range(2)]
        for sock in self.sockets:
            quietly(sock, b"both have something", sock.getsockname())

    def open(self) -> None:
        for sock in self.sockets:
            self.watch(sock, self.hear)

    def hear(self) -> None:
        self.heard += 1
        for sock in self.sockets:
            self.unwatch(sock)
            sock.close()


def test_a_socket_that_another_has_closed_is_not_read_though_something_had_come():
    with Pair() as pair:
        until(lambda: pair.heard > 0)
    assert (pair.heard, pair.told) == (1, [])


def test_its_thread_has_its_name_and_ends(monkeypatch):
    with Echo():
        (thread,) = (one for one in threading.enumerate() if one.name == "echo")
        assert thread.daemon
    assert not thread.is_alive()


def test_what_cannot_be_opened_leaves_nothing_open():
    before = descriptors()
    echo = Echo(refuses=True)
    with pytest.raises(BakeryError, match="no"):
        echo.start()
    assert (echo.closed, descriptors()) == (1, before)
    echo.stop()


def test_a_packet_that_fails_is_told_once_and_the_next_is_served():
    with Echo() as echo:
        echo.fails = ValueError("a\npacket")
        for _ in range(3):
            echo.say(b"bad")
        until(lambda: echo.failed == 3)
        echo.fails = None
        echo.say(b"good")
        until(lambda: echo.heard)
    assert echo.told == [Trouble("echo", "ValueError: a\\npacket")]


@pytest.mark.parametrize("error", [BlockingIOError(), InterruptedError()])
def test_a_socket_that_has_nothing_after_all_is_no_trouble(error):
    with Echo() as echo:
        echo.fails = error
        echo.say(b"gone")
        until(lambda: echo.failed)
        echo.fails = None
        echo.say(b"good")
        until(lambda: echo.heard)
    assert echo.told == []


def test_it_ticks_now_and_then_whatever_comes(monkeypatch):
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.02)
    with Echo() as echo:
        until(lambda: echo.ticks > 2)
    monkeypatch.setattr(loop, "TICK_SECONDS", 1000.0)
    with Echo() as echo:
        for number in range(20):
            echo.say(b"x")
            until(lambda: len(echo.heard) > number)  # noqa: B023 - it is asked at once
        assert echo.ticks == 1


def test_a_tick_that_fails_is_told():
    class Bad(Echo):
        def tick(self) -> None:
            raise ValueError("tick")

    with Bad() as echo:
        until(lambda: echo.told)
        echo.say(b"good")
        until(lambda: echo.heard)
    assert echo.told == [Trouble("echo", "ValueError: tick")]


def test_a_socket_that_is_left_alone_stays_open():
    with Echo() as echo:
        echo.unwatch(echo.socket)
        echo.say(b"nobody")
        assert echo.socket.fileno() != -1
    assert echo.heard == []
    echo.socket.close()


def test_watched_sockets_do_not_block():
    with Echo() as echo:
        assert echo.socket.gettimeout() == 0


@pytest.mark.parametrize(
    ("number", "interface", "message", "hint"),
    [
        (
            errno.EACCES,
            "",
            "TFTP cannot be served on port 69 of 10.0.0.1: Permission denied",
            "1024",
        ),
        (errno.EPERM, "eth0", "on port 69 of eth0: Operation not permitted", "binding to an"),
        (errno.EADDRINUSE, "", "Address already in use", "ss -lnp"),
        (errno.EADDRNOTAVAIL, "", "Cannot assign requested address", "ip address"),
        (errno.ENODEV, "eth9", "on port 69 of eth9: No such device", "ip link"),
        (errno.EIO, "", "Input/output error", ""),
    ],
)
def test_a_port_that_cannot_be_had_is_told_with_the_way_out(number, interface, message, hint):
    told = cannot_serve(OSError(number, "x"), "TFTP", ("10.0.0.1", 69), interface)
    assert told.message.endswith(message)
    assert hint in told.hint and bool(hint) == bool(told.hint)


def test_an_error_without_a_number_is_told_in_its_own_words():
    assert cannot_serve(OSError("odd"), "TFTP", ("10.0.0.1", 69)).message.endswith(": odd")


def test_a_port_that_is_taken_is_told_and_nothing_stays_open():
    with bound(socket.SOCK_DGRAM, ("127.0.0.1", 0), "TFTP") as sock:
        before = descriptors()
        with pytest.raises(BakeryError, match="TFTP cannot be served on port"):
            bound(socket.SOCK_DGRAM, sock.getsockname(), "TFTP")
        assert descriptors() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="binding to an interface needs root")
def test_a_socket_hears_its_interface_alone():
    with bound(socket.SOCK_DGRAM, ("", 0), "TFTP", "lo") as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, loop.SO_BINDTODEVICE, 16).startswith(b"lo\0")
    with pytest.raises(BakeryError, match="of none0: No such device"):
        bound(socket.SOCK_DGRAM, ("", 0), "TFTP", "none0")


def test_a_datagram_that_cannot_be_sent_is_lost():
    with bound(socket.SOCK_DGRAM, ("127.0.0.1", 0), "TFTP") as sock:
        quietly(sock, b"x" * 70_000, ("127.0.0.1", 9))
        quietly(sock, b"x", sock.getsockname())
        assert sock.recv(10) == b"x"
