"""One ping: an ICMP echo request, and whether it is answered (RFC 792). Needs CAP_NET_RAW."""

import os
import socket
import struct
import time
from ipaddress import IPv4Address

ECHO_REPLY, ECHO = 0, 8
HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
PAYLOAD_BYTES = 16
LIMIT_BYTES = 2048


def answers(address: IPv4Address, seconds: float) -> bool:
    """Whether `address` answers within that time; False also where nothing can be sent there.

    The payload is random: an answer is one to this request.
    """
    identifier, payload = os.getpid() & 0xFFFF, os.urandom(PAYLOAD_BYTES)
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as link:
            link.settimeout(seconds)
            link.sendto(_request(identifier, payload), (str(address), 0))
            while (left := deadline - time.monotonic()) > 0:
                link.settimeout(left)
                packet, (sender, _) = link.recvfrom(LIMIT_BYTES)
                if sender == str(address) and _is_answer(packet, identifier, payload):
                    return True
    except OSError:
        return False
    return False


def _request(identifier: int, payload: bytes) -> bytes:
    """An echo request with its checksum."""
    blank = HEADER.pack(ECHO, 0, 0, identifier, 1) + payload
    return HEADER.pack(ECHO, 0, _checksum(blank), identifier, 1) + payload


def _is_answer(packet: bytes, identifier: int, payload: bytes) -> bool:
    """Whether an IPv4 packet, with its header, answers the request of this payload."""
    length = (packet[0] & 0x0F) * 4 if packet else 0
    message = packet[length:]
    if len(message) < HEADER.size:
        return False
    kind, code, _, its, _ = HEADER.unpack_from(message)
    return (kind, code, its) == (ECHO_REPLY, 0, identifier) and message[HEADER.size :] == payload


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
