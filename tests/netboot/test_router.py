"""Router solicitations of a real kernel, in network namespaces."""

import re
import socket
import struct
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.netboot.router import RouterAdvertiser, _only
from bakery.netboot.wire_events import Advertised
from tests.netboot.host import Spec
from tests.netboot.wire import Host, mac

pytestmark = pytest.mark.xdist_group("namespaces")


def test_router_solicitations_are_answered_without_address_or_route(network, tmp_path):
    client = network.client(1)
    with Host(network.servers, Spec(router=True, nodes={mac(1): {}}), tmp_path) as host:
        # A card that comes up asks for routers (RFC 4861, 6.3.7).
        client.run("ip", "link", "set", "eth0", "down")
        client.run("ip", "link", "set", "eth0", "up")
        told = host.wait_for(Advertised)
        assert re.fullmatch(r"fe80::[0-9a-f:]+", told.client)
        assert "default" not in client.run("ip", "-6", "route").stdout
        assert "scope global" not in client.run("ip", "-6", "address").stdout


ASKS = bytes([133, 0, 0, 0, 0, 0, 0, 0])
NODE, OTHER = bytes.fromhex("52540000000a"), bytes.fromhex("52540000000b")


class Raw:
    """A raw socket with one packet of somebody's; what is sent stays here."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.sent: list[tuple[bytes, object]] = []

    def recvfrom(self, _limit: int) -> tuple[bytes, tuple[str, int, int, int]]:
        return self.packet, ("fe80::5%eth0", 0, 0, 2)

    def sendto(self, packet: bytes, to: object) -> None:
        self.sent.append((packet, to))


@pytest.mark.parametrize(
    ("packet", "answered"),
    [
        (ASKS + bytes([1, 1]) + NODE, True),
        (ASKS + bytes([14, 2]) + bytes(14) + bytes([1, 1]) + NODE, True),
        (ASKS + bytes([1, 1]) + OTHER, False),
        (ASKS, False),
        (ASKS + bytes([1, 1]), False),
        (ASKS + bytes([14, 0]) + bytes(6) + bytes([1, 1]) + NODE, False),
        (bytes([133, 0, 0, 0, 0, 0, 0]), False),
        (bytes([133, 1, 0, 0, 0, 0, 0, 0, 1, 1]) + NODE, False),
        (bytes([134, 0, 0, 0, 0, 0, 0, 0, 1, 1]) + NODE, False),
        (b"", False),
    ],
)
def test_a_nodes_solicitation_alone_is_answered_to_all_of_its_wire(packet, answered):
    told: list[object] = []
    known = {NODE.hex(":"): "a node"}.get
    server, raw = RouterAdvertiser("lo", known, told.append), Raw(packet)
    server._socket = raw  # type: ignore[assignment]
    server._answer()
    # RFC 4861, 4.2: type and code, the checksum is the kernel's; no lifetime, no prefix.
    advertised = (bytes([134]) + bytes(15), ("ff02::1", 0, 0, socket.if_nametoindex("lo")))
    assert raw.sent == ([advertised] if answered else [])
    assert told == ([Advertised("fe80::5")] if answered else [])


def test_one_kind_of_packet_passes_the_filter():
    words = struct.unpack("=8I", _only(133))
    passing = [kind for kind in range(256) if not words[kind // 32] >> kind % 32 & 1]
    assert passing == [133]


def test_an_interface_that_is_not_there_is_told_and_nothing_stays_open():
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(
        BakeryError, match="IPv6 router advertisement cannot be served on port 0 of"
    ):
        RouterAdvertiser("none0", lambda _mac: None, lambda _event: None).start()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
