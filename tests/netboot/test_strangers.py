"""Machines that are no nodes: kept within bounds, told in a line."""

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.strangers import KEPT, SHOWN, Strangers, stranger
from bakery.netboot.wire_events import DhcpStranger


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def heard(*events: DhcpStranger) -> str:
    strangers = Strangers()
    for event in events:
        strangers.add(event)
    return strangers.words()


@pytest.mark.parametrize(
    ("options", "vendor", "architecture"),
    [
        ({}, "", -1),
        ({wire.VENDOR_CLASS: b"a\x1b[2J"}, "a\\x1b[2J", -1),
        ({wire.ARCHITECTURE: b"\0\7\0\x09"}, "", 7),
        ({wire.ARCHITECTURE: b"\0"}, "", -1),
    ],
)
def test_it_is_what_it_says_of_itself_made_printable(options, vendor, architecture):
    packet = Packet(op=wire.REQUEST, xid=1, mac=bytes(6), options=options)
    assert stranger(packet) == DhcpStranger("00:00:00:00:00:00", vendor, architecture)
    long = Packet(op=1, xid=1, mac=bytes(6), options={wire.VENDOR_CLASS: b"v" * 4000})
    assert len(stranger(long).vendor) <= 210


def test_where_none_was_heard_nothing_is_said():
    assert heard() == ""


def test_each_is_counted_once_and_named_with_what_it_said_at_some_time():
    words = heard(
        DhcpStranger(mac(1)), DhcpStranger(mac(1), "PXEClient:Arch:00007", 7), DhcpStranger(mac(1))
    )
    assert words.startswith("1 machine asked") and "is no node of this deploy" in words
    assert words.endswith(f"{mac(1)} (PXEClient:Arch:00007)")


def test_those_that_boot_over_the_network_are_named_first():
    words = heard(DhcpStranger(mac(1)), DhcpStranger(mac(2), "PXEClient"))
    assert words.startswith("2 machines asked")
    assert words.endswith(f": {mac(2)} (PXEClient), {mac(1)}")


def test_of_many_some_are_named_and_the_rest_counted():
    words = heard(*(DhcpStranger(mac(n)) for n in range(SHOWN + 3)))
    assert words.endswith("and 3 more") and words.count("52:54:00") == SHOWN


def test_without_end_they_are_kept_within_bounds():
    strangers = Strangers()
    for number in range(KEPT + 50):
        strangers.add(DhcpStranger(mac(number)))
    assert strangers.words().startswith(f"more than {KEPT} machines")
    assert len(strangers._heard) == KEPT
