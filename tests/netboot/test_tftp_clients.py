"""TFTP clients as boot ROMs are: one port for all they do, and more bytes than there need be."""

import socket
import struct
from collections.abc import Iterator

import pytest

from bakery.netboot import tftp
from bakery.netboot.tftp import Refusal, TftpServer, parse_request
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, TftpFailed, TftpSent
from tests.lab.machines import until

SECONDS = 30
FIRST, SECOND = bytes(range(256)) * 12, b"second" * 300
ERROR, OACK = b"\0\5", b"\0\6"
Address = tuple[str, int]


def request(name: bytes, *options: bytes, padding: int = 0) -> bytes:
    words = [name, b"octet", *options]
    return b"\0\1" + b"".join(word + b"\0" for word in words) + bytes(padding)


class Rom:
    """A client that does everything from one port."""

    def __init__(self, server: TftpServer) -> None:
        self._main = ("127.0.0.1", server.port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(SECONDS)

    def ask(self, data: bytes) -> tuple[bytes, Address]:
        self.socket.sendto(data, self._main)
        return self.hear()

    def hear(self) -> tuple[bytes, Address]:
        packet, sender = self.socket.recvfrom(2000)
        return packet, sender

    def ack(self, number: int, to: Address) -> None:
        self.socket.sendto(struct.pack("!HH", 4, number), to)

    def error(self, to: Address) -> None:
        self.socket.sendto(ERROR + b"\0\x08aborted\0", to)

    def rest(self, packet: bytes, peer: Address, *, last: bool = True) -> bytes:
        """What comes from there; other senders are passed over (RFC 1350, 4)."""
        content = b""
        while True:
            content += packet[4:]
            number = struct.unpack("!H", packet[2:4])[0]
            if len(packet) < 516:
                if last:
                    self.ack(number, peer)
                return content
            self.ack(number, peer)
            packet, sender = self.hear()
            while sender != peer:
                packet, sender = self.hear()


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def server(told) -> Iterator[TftpServer]:
    tree = Tree()
    tree.put("first", FIRST)
    tree.put("dir/second", SECOND)
    with TftpServer("127.0.0.1", tree, told.append, port=0) as server:
        yield server


@pytest.fixture
def rom(server) -> Iterator[Rom]:
    made = Rom(server)
    yield made
    made.socket.close()


def reasons(told: list[Event]) -> list[str]:
    return [event.reason for event in told if isinstance(event, TftpFailed)]


def test_the_next_file_comes_though_the_last_acknowledgement_was_lost(server, rom, told):
    assert rom.rest(*rom.ask(request(b"first")), last=False) == FIRST
    assert rom.rest(*rom.ask(request(b"dir/second"))) == SECOND
    until(lambda: any(isinstance(event, TftpSent) for event in told))
    assert reasons(told) == ["the client has gone on to another request"]
    until(lambda: server._sessions == [])


def test_a_probe_for_the_size_is_followed_by_the_file(server, rom, told):
    """PXE asks for the size, answers with an error, and then asks for the file at once."""
    for _ in range(20):
        packet, peer = rom.ask(request(b"first", b"tsize", b"0"))
        assert packet == OACK + b"tsize\0" + str(len(FIRST)).encode() + b"\0"
        rom.error(peer)
        packet, peer = rom.ask(request(b"first", b"blksize", b"1024"))
        assert packet == OACK + b"blksize\0001024\0"
        rom.error(peer)
    until(lambda: len(reasons(told)) == 40)
    until(lambda: server._sessions == [])


def test_the_same_may_be_asked_for_after_an_error(rom):
    for _ in range(5):
        packet, peer = rom.ask(request(b"first"))
        assert packet[:4] == b"\0\3\0\1"
        rom.error(peer)


def test_a_client_that_begins_anew_in_the_middle_gets_it_from_the_start(server, rom, told):
    packet, old = rom.ask(request(b"first"))
    rom.ack(1, old)
    rom.hear()
    packet, new = rom.ask(request(b"first"))
    assert new != old
    assert rom.rest(packet, new) == FIRST
    until(lambda: server._sessions == [])
    assert reasons(told) == ["the client has gone on to another request"]


@pytest.mark.parametrize("late", [request(b"first"), request(b"dir/second")])
def test_a_request_of_somebody_else_or_late_breaks_no_transfer(rom, told, late):
    """Its answer comes from another port, and the client turns it away (RFC 1350, 4)."""
    packet, peer = rom.ask(request(b"first"))
    rom.ack(1, peer)
    block, _ = rom.hear()
    _, stray = rom.ask(late)
    rom.socket.sendto(ERROR + b"\0\5unknown transfer ID\0", stray)
    assert packet[4:] + rom.rest(block, peer) == FIRST
    until(lambda: any(isinstance(event, TftpSent) for event in told))
    assert reasons(told) == ["the client gave up: unknown transfer ID"]


def test_a_request_that_comes_twice_has_one_answer(server, rom):
    rom.ask(request(b"first"))
    rom.socket.sendto(request(b"first"), ("127.0.0.1", server.port))
    rom.socket.sendto(b"\0\2nothing\0octet\0", ("127.0.0.1", server.port))
    assert rom.hear()[0][:2] == ERROR  # to the last one: all before it were looked at
    assert len(server._sessions) == 1


def test_a_port_has_no_more_transfers_than_its_client_may_have(server, rom):
    for number in range(3 * tftp.SESSIONS_PER_CLIENT):
        rom.ask(request(b"first", b"blksize", str(100 + number).encode()))
    assert len(server._sessions) <= tftp.SESSIONS_PER_CLIENT


@pytest.mark.parametrize("padding", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("options", [(), (b"tsize", b"0"), (b"multicast", b"", b"tsize", b"0")])
def test_more_zero_bytes_than_there_need_be_say_nothing(padding, options):
    found = parse_request(request(b"first", *options, padding=padding))
    assert (found.path, found.options) == ("first", {"tsize": 0} if options else {})


@pytest.mark.parametrize(
    "data",
    [
        request(b"first", padding=1) + b"x",
        request(b"first", padding=1) + b"tsize\0" + b"0\0",
        request(b"first", b"tsize", padding=0),
        request(b"first", b"tsize", padding=1),
    ],
)
def test_zero_bytes_hide_nothing(data):
    with pytest.raises(Refusal, match="malformed"):
        parse_request(data)


def test_a_padded_request_is_served(rom):
    assert rom.rest(*rom.ask(request(b"first", padding=1))) == FIRST


@pytest.mark.parametrize(
    "name",
    [b"/dir/second", b"//dir//second", b"./dir/second", b"\\dir\\second", b"dir\\second"],
)
def test_a_path_may_be_put_together_as_firmware_does_it(rom, name):
    assert rom.rest(*rom.ask(request(name))) == SECOND


@pytest.mark.parametrize("name", [b"dir/../first", b"..\\first", b"dir/second/", b"dir"])
def test_no_other_path_leads_to_a_file(rom, name):
    packet, _ = rom.ask(request(name))
    assert packet[:4] == ERROR + b"\0\1"
