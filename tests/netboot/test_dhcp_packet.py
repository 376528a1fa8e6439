from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import BadPacket, Packet, encode, parse
from bakery.netboot.firmware_files import BootFiles, asker, platform

MAC = bytes.fromhex("525400123456")
FILES = BootFiles(bios="undionly.kpxe", uefi="snponly.efi", bios_ipxe="http://b", uefi_ipxe="")
HEAD_BYTES = 240


def packet(**fields: Any) -> Packet:
    return replace(Packet(op=wire.REQUEST, xid=7, mac=MAC), **fields)


ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
PACKETS = st.builds(
    Packet,
    op=st.sampled_from([wire.REQUEST, wire.REPLY]),
    xid=st.integers(0, 2**32 - 1),
    mac=st.binary(min_size=6, max_size=6),
    options=st.dictionaries(
        st.integers(1, 254).filter(lambda code: code != wire.OVERLOAD),
        st.binary(max_size=300),
        max_size=8,
    ),
    secs=st.integers(0, 2**16 - 1),
    flags=st.integers(0, 2**16 - 1),
    ciaddr=ADDRESSES,
    yiaddr=ADDRESSES,
    siaddr=ADDRESSES,
    giaddr=ADDRESSES,
    sname=st.binary(max_size=63).filter(lambda name: b"\0" not in name),
    file=st.binary(max_size=127).filter(lambda name: b"\0" not in name),
)


@given(PACKETS)
def test_what_is_encoded_is_read_back(message):
    assert parse(encode(message)) == message


@given(st.binary(max_size=600))
def test_bytes_are_a_message_or_refused(data):
    try:
        parse(data)
    except BadPacket as error:
        assert error.message


@given(PACKETS, st.data())
def test_a_message_with_damage_is_a_message_or_refused(message, data):
    damaged = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        found = parse(bytes(damaged[:cut]))
    except BadPacket:
        return
    # What else the server looks at must not fail either.
    assert found.message in ("", *wire.NAMES.values())
    assert asker(found) in (platform(found), "ipxe")
    assert FILES.of(found) in ("", FILES.bios, FILES.uefi, FILES.bios_ipxe)
    assert found.address(wire.SERVER) is None or found.address(wire.SERVER)
    assert len(found.mac_text) == 17


def test_a_message_is_never_shorter_than_bootp():
    assert len(encode(packet())) == wire.LEAST_BYTES


def test_a_message_is_as_rfc_2131_has_it():
    """2. Protocol Summary, Figure 1; RFC 2132, 2 and 3.2: pads and the end have no length."""
    addresses = [bytes([10, 0, 0, number]) for number in (1, 2, 3, 4)]
    head = b"\x01\x01\x06\x09" + b"\x11\x22\x33\x44" + b"\x00\x05" + b"\x80\x00"
    head += b"".join(addresses) + MAC.ljust(16, b"\0") + b"name".ljust(64, b"\0")
    head += b"file".ljust(128, b"\0") + b"\x63\x82\x53\x63"
    data = head + b"\0\0\x35\x01\x03\0\x0c\x02ab\0\x0c\x01c\xff\x36\x04none"
    found = parse(data)
    assert (found.op, found.xid, found.secs, found.flags) == (1, 0x11223344, 5, 0x8000)
    assert [a.packed for a in (found.ciaddr, found.yiaddr, found.siaddr, found.giaddr)] == addresses
    assert (found.mac, found.sname, found.file) == (MAC, b"name", b"file")
    assert found.options == {wire.MESSAGE_TYPE: b"\x03", wire.HOST_NAME: b"abc"}
    again = head[:3] + b"\0" + head[4:] + b"\x35\x01\x03\x0c\x03abc\xff"
    assert encode(found) == again.ljust(300, b"\0")


def test_options_and_messages_have_the_numbers_of_their_standards():
    """RFC 2132; RFC 3004: 77; RFC 4578: 93 and 97; ipxe.org/howto/dhcpd: 175."""
    assert (wire.SUBNET_MASK, wire.ROUTER, wire.DNS, wire.HOST_NAME) == (1, 3, 6, 12)
    assert (wire.REQUESTED_ADDRESS, wire.LEASE_SECONDS, wire.OVERLOAD) == (50, 51, 52)
    assert (wire.MESSAGE_TYPE, wire.SERVER, wire.WANTED_OPTIONS) == (53, 54, 55)
    assert (wire.VENDOR_CLASS, wire.CLIENT_ID) == (60, 61)
    assert (wire.TFTP_SERVER, wire.BOOT_FILE, wire.USER_CLASS) == (66, 67, 77)
    assert (wire.ARCHITECTURE, wire.UUID, wire.IPXE) == (93, 97, 175)
    assert list(wire.NAMES) == list(range(1, 9))


def test_a_long_option_goes_in_pieces_of_255_bytes():
    (long,) = (encode(packet(options={wire.ROUTER: b"x" * 511}))[HEAD_BYTES:],)
    pieces = b"\x03\xff" + b"x" * 255 + b"\x03\xff" + b"x" * 255 + b"\x03\x01x\xff"
    assert long == pieces
    assert encode(packet(options={wire.ROUTER: b""}))[HEAD_BYTES:].startswith(b"\x03\0\xff")


@pytest.mark.parametrize("code", [0, 255, 300])
def test_an_option_that_is_none_cannot_be_sent(code):
    with pytest.raises(BadPacket, match=f"the option {code} cannot be sent"):
        encode(packet(options={code: b""}))


@pytest.mark.parametrize(
    ("overload", "kept"),
    [(0, (b"f\x02de", b"s\x01x")), (1, (b"", b"s\x01x")), (2, (b"f\x02de", b"")), (3, (b"", b""))],
)
def test_a_field_that_holds_options_is_no_name(overload, kept):
    options = {wire.OVERLOAD: bytes([overload])} if overload else {}
    data = bytearray(encode(packet(options=options, file=b"f\x02de", sname=b"s\x01x")))
    found = parse(bytes(data))
    assert (found.file, found.sname) == kept
    assert found.options.get(ord("f")) == (b"de" if overload & 1 else None)
    assert found.options.get(ord("s")) == (b"x" if overload & 2 else None)


def test_what_a_client_says_of_itself_is_read():
    assert packet().message_type == 0 and packet().message == ""
    assert packet(options={wire.MESSAGE_TYPE: b"\1\1"}).message_type == 0
    assert packet(options={wire.ARCHITECTURE: b"\0\7\0\x0b\0"}).architectures == (7, 11)
    assert packet(options={wire.SERVER: bytes(5)}).address(wire.SERVER) is None
    assert packet(options={wire.SERVER: bytes([1, 2, 3, 4])}).address(wire.SERVER) == IPv4Address(
        "1.2.3.4"
    )
    assert packet().mac_text == "52:54:00:12:34:56"


@pytest.mark.parametrize(
    ("options", "ipxe", "pxe"),
    [
        ({}, False, False),
        ({wire.IPXE: b""}, True, False),
        ({wire.USER_CLASS: b"\4iPXE"}, True, False),
        ({wire.USER_CLASS: b"other"}, False, False),
        ({wire.ARCHITECTURE: b""}, False, True),
        ({wire.VENDOR_CLASS: b"PXEClient:Arch:00000"}, False, True),
        ({wire.VENDOR_CLASS: b"a PXEClient"}, False, False),
    ],
)
def test_who_asks_is_known(options, ipxe, pxe):
    assert (packet(options=options).is_ipxe, packet(options=options).is_pxe) == (ipxe, pxe)


def test_options_go_on_in_the_fields_for_names():
    """RFC 2131, 4.1, and RFC 3396: the pieces are joined, `file` before `sname`."""
    data = bytearray(encode(packet(options={wire.OVERLOAD: b"\3", wire.HOST_NAME: b"no"})))
    data[108 : 108 + 128] = b"\x0c\x02de\xff".ljust(128, b"\0")
    data[44 : 44 + 64] = b"\x0c\x01x\xff".ljust(64, b"\0")
    found = parse(bytes(data))
    assert found.options[wire.HOST_NAME] == b"nodex"
    assert (found.file, found.sname) == (b"", b"")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[: HEAD_BYTES - 1], "are not a DHCP message"),
        (lambda data: data + bytes(wire.LIMIT_BYTES), "are not a DHCP message"),
        (lambda data: data[:236] + b"none" + data[240:], "cookie"),
        (lambda data: data[:1] + b"\x06" + data[2:], "Ethernet"),
        (lambda data: data[:2] + b"\xff" + data[3:], "Ethernet"),
        (lambda data: b"\3" + data[1:], "operation 3"),
        (lambda data: data[:HEAD_BYTES] + b"\x0c\xffshort", "beyond the end"),
        (lambda data: data[:HEAD_BYTES] + b"\x0c", "beyond the end"),
        (lambda data: data[:HEAD_BYTES] + b"\x34\x00\xff", "option 52 is empty"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(change, reason):
    with pytest.raises(BadPacket, match=reason):
        parse(change(encode(packet())))


@pytest.mark.parametrize("fields", [{"file": b"x" * 128}, {"sname": b"x" * 64}])
def test_a_name_that_does_not_fit_is_not_cut(fields):
    with pytest.raises(BadPacket, match="too long"):
        encode(packet(**fields))
