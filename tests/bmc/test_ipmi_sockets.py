"""The reader of all IPMI sockets never waits for one of them."""

import socket
import threading
from collections.abc import Iterator

import pytest
from pyghmi.ipmi.private import session

from bakery.bmc.ipmi_sockets import repair

SECONDS = 5.0


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that a writer has just made blocking."""
    monkeypatch.setattr(session, "_io_recvfrom", session._io_recvfrom)
    # Between the original's two steps comes the writer's one.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))
        yield link


def received(link: socket.socket, seconds: float = SECONDS) -> list[object]:
    """What the reader gets; empty where it waits."""
    got: list[object] = []
    reader = threading.Thread(
        target=lambda: got.append(session._io_recvfrom(Blocking(link), 3000)), daemon=True
    )
    reader.start()
    reader.join(seconds)
    if reader.is_alive():
        link.sendto(b"wake", link.getsockname())
        reader.join()
        return []
    return got


class Blocking:
    """The socket, made blocking by the other thread whenever the reader made it non-blocking."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link

    def setblocking(self, _wanted: bool) -> None:
        self._link.setblocking(True)

    def recvfrom(self, *words: int) -> object:
        return self._link.recvfrom(*words)


def test_as_it_comes_the_reader_waits(link):
    assert received(link, seconds=0.3) == []


def test_repaired_it_goes_on(link):
    repair()
    assert received(link) == [None]
    link.sendto(b"packet", link.getsockname())
    assert received(link) == [(b"packet", link.getsockname())]
