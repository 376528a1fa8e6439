"""Servers whose name has several addresses; 127.0.0.2 and others are this machine's as well."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from bakery.node.agent import way
from bakery.node.agent.way import Way

FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def named(monkeypatch):
    """Gives a name addresses, on one port."""

    def give(*addresses):
        def found(host, port, type=0):  # noqa: A002 - as it is called
            assert host == b"server.example"
            return [(socket.AF_INET, type, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return give


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """At the second address alone."""
    with socket.create_server((SECOND, 0)) as listener:
        yield listener


def port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def reached(to: Way) -> str:
    with to.connect(5) as link:
        return str(link.getpeername()[0])


def test_an_address_that_refuses_is_followed_by_the_next(named, listening):
    named(FIRST, SECOND)
    to = Way("server.example", port(listening))
    assert [reached(to), reached(to)] == [SECOND, SECOND]


def test_where_none_answers_the_last_says_why_and_no_socket_is_left(named, monkeypatch):
    named(FIRST, THIRD)
    made = []
    real = socket.socket
    with socket.create_server((SECOND, 0)) as listener:
        free = port(listener)

    def kept(*words):
        made.append(real(*words))
        return made[-1]

    monkeypatch.setattr(socket, "socket", kept)
    with pytest.raises(ConnectionRefusedError):
        Way("server.example", free).connect(5)
    assert [link.fileno() for link in made] == [-1, -1]


def test_an_address_that_failed_is_tried_last_until_all_had_their_turn(named):
    named(FIRST, SECOND)
    with contextlib.ExitStack() as held:
        one = held.enter_context(socket.create_server((FIRST, 0)))
        held.enter_context(socket.create_server((SECOND, port(one))))
        to = Way("server.example", port(one))
        seen = [reached(to), reached(to)]
        to.failed()
        seen += [reached(to), reached(to)]
        to.failed()
        seen += [reached(to)]
    assert seen == [FIRST, FIRST, SECOND, SECOND, FIRST]


def test_an_address_that_says_nothing_is_given_less_time_than_the_only_one(named, monkeypatch):
    given = []

    class Link:
        def __init__(self, *_words):
            pass

        def settimeout(self, seconds):
            given.append(seconds)

        def connect(self, _where):
            raise TimeoutError

        def close(self):
            pass

    monkeypatch.setattr(socket, "socket", Link)
    named(FIRST, SECOND)
    with pytest.raises(TimeoutError):
        Way("server.example", 80).connect(20)
    assert given == [way.NEXT_SECONDS, 20]
    named(FIRST)
    with pytest.raises(TimeoutError):
        Way("server.example", 80).connect(20)
    assert given[2:] == [20]


def test_a_name_with_very_many_addresses_is_not_tried_without_end(named, monkeypatch):
    monkeypatch.setattr(way, "ADDRESSES", 3)
    named(*[f"127.0.1.{n}" for n in range(1, 100)])
    to = Way("server.example", 80)
    assert len(to._addresses()) == 3
