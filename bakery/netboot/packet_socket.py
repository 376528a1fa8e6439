"""DHCP's datagrams as they pass an interface, whoever has bound their ports.

A packet socket hears beside a DHCP server or client of this machine, which hold ports 67 and 68.
A filter in the kernel lets DHCP through alone: what else is on the wire wakes nobody. Sources:
packet(7), linux/filter.h (classic BPF), RFC 791 and 768.
"""

import ctypes
import socket
import struct
from ipaddress import IPv4Address
from typing import NamedTuple

from bakery.netboot.dhcp_packet import CLIENT_PORT, SERVER_PORT
from bakery.netboot.loop import cannot_serve

ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26
LIMIT_BYTES = 9000
_UDP_HEAD = struct.Struct("!HHHH")
# (operation, jump if true, jump if false, operand); offsets count from the IP header, which is
# the first thing that a packet socket of the kind SOCK_DGRAM has.
_FILTER = (
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 7, socket.IPPROTO_UDP),
    (0x28, 0, 0, 6),  # flags and the fragment's offset
    (0x45, 5, 0, 0x1FFF),
    (0xB1, 0, 0, 0),  # the length of IP's header
    (0x48, 0, 0, 2),  # UDP's destination
    (0x15, 1, 0, SERVER_PORT),
    (0x15, 0, 1, CLIENT_PORT),
    (0x06, 0, 0, 0xFFFF),  # it passes
    (0x06, 0, 0, 0),
)


class Datagram(NamedTuple):
    """A UDP datagram: where it came from, which port it goes to, and what is in it."""

    source: IPv4Address
    port: int
    payload: bytes


def opened(interface: str, what: str) -> socket.socket:
    """A packet socket that hears DHCP on `interface`; BakeryError where it cannot be had."""
    program = b"".join(struct.pack("=HBBI", *line) for line in _FILTER)
    code = ctypes.create_string_buffer(program, len(program))
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            filtered = struct.pack("@HP", len(_FILTER), ctypes.addressof(code))
            sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filtered)
            sock.bind((interface, ETH_P_IP))  # it hears nothing before, and so all is filtered
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise cannot_serve(error, what, ("", SERVER_PORT), interface) from error
    return sock


def datagram(packet: bytes) -> Datagram | None:
    """The datagram in an IPv4 packet; None where there is none that is whole."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    head = (packet[0] & 15) * 4
    total = int.from_bytes(packet[2:4], "big")
    if packet[9] != socket.IPPROTO_UDP or not 20 <= head <= total - _UDP_HEAD.size:
        return None
    if total > len(packet):
        return None
    _, port, length, _ = _UDP_HEAD.unpack_from(packet, head)
    if not _UDP_HEAD.size <= length <= total - head:
        return None
    payload = packet[head + _UDP_HEAD.size : head + length]
    return Datagram(IPv4Address(packet[12:16]), port, payload)
