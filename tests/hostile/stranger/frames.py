"""Ethernet frames that a host sends as it likes: UDP from any address, DHCP, ARP.

Sources: RFC 791, RFC 768, RFC 2131, RFC 826.
"""

import os
import socket
import struct

EVERYBODY = b"\xff" * 6
IPV4, ARP = 0x0800, 0x0806
DISCOVER, REQUEST, DECLINE, RELEASE, INFORM = 1, 3, 4, 7, 8
MAGIC = b"\x63\x82\x53\x63"
BROADCAST = 0x8000


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def udp(card: bytes, source: tuple[str, int], target: tuple[str, int], content: bytes) -> bytes:
    """A datagram to everybody, from the card with that address; its own checksum is left out."""
    length = 8 + len(content)
    datagram = struct.pack(">HHHH", source[1], target[1], length, 0) + content
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, socket.IPPROTO_UDP, 0)
    total = _sum(head + addresses)
    head = head[:10] + struct.pack(">H", total) + addresses
    return EVERYBODY + card + struct.pack(">H", IPV4) + head + datagram


def dhcp(kind: int, client: str, *options: tuple[int, bytes], own: str = "0.0.0.0") -> bytes:
    """A DHCP message in the name of the MAC `client`."""
    head = struct.pack(">BBBB4sHH", 1, 1, 6, 0, os.urandom(4), 0, BROADCAST)
    addresses = socket.inet_aton(own) + bytes(12)
    names = mac_bytes(client).ljust(16, b"\0") + bytes(64 + 128)
    told = ((53, bytes([kind])), *options)
    listed = b"".join(struct.pack(">BB", code, len(value)) + value for code, value in told)
    return head + addresses + names + MAGIC + listed + b"\xff"


def announcement(card: bytes, address: str) -> bytes:
    """An ARP announcement (RFC 5227, 3) of the sender's own address."""
    own = socket.inet_aton(address)
    body = struct.pack(">HHBBH", 1, IPV4, 6, 4, 1) + card + own + bytes(6) + own
    return EVERYBODY + card + struct.pack(">H", ARP) + body


def _sum(head: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
