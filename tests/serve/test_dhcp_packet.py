from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.serve import dhcp_packet as wire
from bakery.serve.dhcp_packet import BadPacket, Packet, encode, parse
from bakery.serve.firmware_files import BootFiles, asker, platform

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
        (lambda data: data[: HEAD_BYTES - 1], "no DHCP message"),
        (lambda data: data + bytes(wire.LIMIT_BYTES), "no DHCP message"),
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
