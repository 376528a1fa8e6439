"""Datagrams as a packet socket has them: an IPv4 header first, and anything may be in it."""

import struct
import subprocess
import sys
import time
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.netboot.packet_socket import Datagram, datagram, opened
from tests.conftest import REPOSITORY

SOURCE = "10.0.0.7"


def packet(
    payload: bytes = b"DHCP",
    *,
    words: int = 5,
    protocol: int = 17,
    port: int = 67,
    length: int | None = None,
    total: int | None = None,
) -> bytes:
    """An IPv4 packet whose header has so many words of 32 bits."""
    length = 8 + len(payload) if length is None else length
    total = words * 4 + 8 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, total, 1, 0, 64, protocol, 0)
    head += IPv4Address(SOURCE).packed + bytes(4)
    return head.ljust(words * 4, b"\1") + struct.pack("!HHHH", 68, port, length, 0) + payload


@pytest.mark.parametrize("words", [5, 6, 15])
def test_a_datagram_is_found_behind_a_header_of_any_length(words):
    assert datagram(packet(words=words)) == Datagram(IPv4Address(SOURCE), 67, b"DHCP")


def test_what_a_card_pads_a_frame_with_is_no_part_of_it():
    found = datagram(packet() + bytes(20))
    assert found and found.payload == b"DHCP"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        packet()[:19],
        packet()[:27],
        packet(protocol=6),
        packet(words=4),
        b"\x65" + packet()[1:],
        packet(total=27),
        packet(total=100),
        packet(length=7),
        packet(length=13),
    ],
)
def test_what_is_not_whole_is_none(data):
    assert datagram(data) is None


@given(st.binary(max_size=80))
def test_anything_is_a_datagram_or_none(data):
    found = datagram(b"\x45" + data)
    assert found is None or len(found.payload) <= len(data)


def test_an_interface_that_is_not_there_is_told():
    with pytest.raises(BakeryError, match=r"the watch cannot be served on port 67 of none9"):
        opened("none9", "the watch")


@pytest.mark.xdist_group("namespaces")
def test_on_the_wire_dhcp_passes_and_nothing_else_and_no_port_is_taken(network, tmp_path):
    """It hears beside a server that holds port 67 (tests of the watch and the look do it too)."""
    client = network.client(1)
    client.run("ip", "address", "add", "192.168.88.9/24", "dev", "eth0")
    hears = (
        "import socket,sys;from bakery.netboot.packet_socket import *;"
        "held=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);held.bind(('',67));"
        "s=opened('br0','x');s.settimeout(60);print('ready',flush=True);"
        "print(datagram(s.recv(2000)).payload.decode())"
    )
    words = [*network.servers.words, sys.executable, "-c", hears]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout and process.stdout.readline() == b"ready\n"
        says = (
            "import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
            "[s.sendto(t,('192.168.88.1',p)) for t,p in ((b'noise',69),(b'heard',67))]"
        )
        started = time.monotonic()
        client.run(sys.executable, "-c", says)
        assert process.stdout.read() == b"heard\n", time.monotonic() - started
