"""Whether a DHCP server answers on an interface: a DISCOVER is sent, and answers are waited for.

A server that knows machines by name alone does not answer ours, and is not found by this; the
DHCP server itself names it when a node takes its offer.
"""

import os
import select
import socket
import time
from ipaddress import IPv4Address, IPv4Interface

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp import hardware_address, question
from bakery.netboot.dhcp_packet import CLIENT_PORT, EVERYWHERE, SERVER_PORT, BadPacket
from bakery.netboot.loop import bound
from bakery.netboot.packet_socket import LIMIT_BYTES, datagram, opened

# Servers look whether an address is free before they offer it: dnsmasq for three seconds.
SECONDS = 5.0
AGAIN_SECONDS = 1.5
WHAT = "the search for other DHCP servers"


def answering(interface: str, own: IPv4Interface, seconds: float = SECONDS) -> IPv4Address | None:
    """The first other server that answers within so many seconds; None where none does.

    It must be run before our own server. Raises BakeryError where it cannot be looked for.
    """
    xid = int.from_bytes(os.urandom(4), "big")
    with (
        opened(interface, WHAT) as ears,
        bound(socket.SOCK_DGRAM, (str(own.ip), 0), WHAT, interface) as mouth,
    ):
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asked = wire.encode(question(xid, hardware_address(mouth, interface)))
        deadline = time.monotonic() + seconds
        due = 0.0
        while (now := time.monotonic()) < deadline:
            if now >= due:
                mouth.sendto(asked, (EVERYWHERE, SERVER_PORT))
                due = now + AGAIN_SECONDS
            if select.select([ears], [], [], max(0.0, min(due, deadline) - now))[0]:
                found = _server(ears.recv(LIMIT_BYTES), xid)
                if found is not None and found != own.ip:
                    return found
    return None


def _server(data: bytes, xid: int) -> IPv4Address | None:
    """Who answers the message `xid` by this packet; None where it is no such answer."""
    heard = datagram(data)
    if heard is None or heard.port != CLIENT_PORT:
        return None
    try:
        packet = wire.parse(heard.payload)
    except BadPacket:
        return None
    if packet.op != wire.REPLY or packet.xid != xid:
        return None
    return packet.address(wire.SERVER) or heard.source
