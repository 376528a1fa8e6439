"""An echo request, and what is taken for the answer to it."""

import os
import struct
from ipaddress import IPv4Address

import pytest

from bakery.netboot import ping

IPV4 = bytes([0x45]) + bytes(19)


@pytest.mark.skipif(os.geteuid() != 0, reason="a raw socket needs CAP_NET_RAW")
def test_the_loopback_answers_and_an_address_without_a_way_does_not():
    assert ping.answers(IPv4Address("127.0.0.1"), 30)
    assert not ping.answers(IPv4Address("240.0.0.1"), 0.1)


def test_the_checksum_of_a_request_adds_up():
    request = ping._request(0x1234, b"0123456789abcdef")
    assert ping._checksum(request) == 0
    assert struct.unpack_from("!BBHHH", request)[0] == ping.ECHO


@pytest.mark.parametrize(
    ("packet", "is_answer"),
    [
        (IPV4 + bytes([0, 0, 0, 0, 0, 7, 0, 1]) + b"payload", True),
        (bytes([0x46]) + bytes(23) + bytes([0, 0, 0, 0, 0, 7, 0, 1]) + b"payload", True),
        (IPV4 + bytes([8, 0, 0, 0, 0, 7, 0, 1]) + b"payload", False),  # the request itself
        (IPV4 + bytes([0, 0, 0, 0, 0, 8, 0, 1]) + b"payload", False),  # another process's
        (IPV4 + bytes([0, 0, 0, 0, 0, 7, 0, 1]) + b"another", False),
        (IPV4 + b"\0\0", False),
        (b"", False),
    ],
)
def test_only_the_answer_to_this_request_counts(packet, is_answer):
    assert ping._is_answer(packet, 7, b"payload") is is_answer
