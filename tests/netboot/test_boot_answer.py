"""What every answer of ours has, whoever gives the address."""

from ipaddress import IPv4Address

import pytest

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.boot_answer import back, boot, reply, told
from bakery.netboot.dhcp_packet import Packet
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.wire_events import Dhcp

OWN, RELAY = IPv4Address("10.0.0.1"), IPv4Address("10.9.0.1")
MAC = bytes.fromhex("52540000000a")
FILES = BootFiles("b", "u", "", "i", "http://10.0.0.1/h")


def asks(**fields) -> Packet:
    options = {wire.MESSAGE_TYPE: b"\1", **fields.pop("options", {})}
    return Packet(op=wire.REQUEST, xid=7, mac=MAC, options=options, **fields)


def test_an_answer_is_to_its_question_and_from_us():
    answer = reply(asks(flags=0x8001), wire.ACK, OWN, {wire.ROUTER: OWN.packed})
    assert (answer.op, answer.xid, answer.mac, answer.flags) == (wire.REPLY, 7, MAC, 0x8000)
    assert (answer.siaddr, answer.giaddr) == (OWN, wire.NOWHERE)
    assert [*answer.options] == [wire.MESSAGE_TYPE, wire.SERVER, wire.ROUTER]
    assert reply(asks(), wire.NAK, OWN, {}).siaddr == wire.NOWHERE


def test_what_a_relay_added_goes_back_last_though_a_client_says_it():
    said = {wire.RELAY_INFO: b"\1\1x", wire.CLIENT_ID: b"id"}
    answer = reply(asks(options=said), wire.ACK, OWN, {wire.ROUTER: OWN.packed})
    assert [*answer.options][-2:] == [wire.CLIENT_ID, wire.RELAY_INFO]
    assert answer.options[wire.RELAY_INFO] == b"\1\1x"


@pytest.mark.parametrize(
    ("giaddr", "to"), [(wire.NOWHERE, ("255.255.255.255", 68)), (RELAY, ("10.9.0.1", 67))]
)
def test_it_goes_to_everybody_or_to_the_relay(giaddr, to):
    assert back(asks(giaddr=giaddr)) == to


@pytest.mark.parametrize(
    ("vendor", "architecture", "file"),
    [
        (b"PXEClient:Arch:00000", 0, b"b"),
        (b"PXEClient:Arch:00007", 7, b"u"),
        (b"HTTPClient:Arch:00016", 16, b"http://10.0.0.1/h"),
        (b"HTTPClient:Arch:00019", 19, b""),
        (b"PXEClient:Arch:00011", 11, b""),
        (b"udhcp", None, b""),
    ],
)
def test_each_firmware_is_told_its_own_file(vendor, architecture, file):
    options = {wire.VENDOR_CLASS: vendor}
    if architecture is not None:
        options[wire.ARCHITECTURE] = architecture.to_bytes(2, "big")
    given, field = boot(asks(options=options), FILES, OWN)
    assert field == file
    is_http = vendor.startswith(b"HTTP") and file != b""
    assert given.get(wire.VENDOR_CLASS) == (b"HTTPClient" if is_http else None)


def test_a_message_is_told_with_who_asks_and_the_file_that_firmware_gets():
    pxe = asks(options={wire.ARCHITECTURE: b"\0\7"})
    mac = MAC.hex(":")
    assert told(pxe, "OFFER", OWN, "u") == Dhcp(mac, "DISCOVER", "OFFER", "10.0.0.1", "uefi", "u")
    assert told(asks(), "ACK", None, "u") == Dhcp(mac, "DISCOVER", "ACK")
