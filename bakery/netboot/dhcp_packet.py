"""A DHCP message as bytes and as a record.

Sources: RFC 2131 (the message), RFC 2132 (options), RFC 3396 (long options), RFC 4578 (what a
PXE client says of itself: 93 architecture, 97 UUID), RFC 3004 (77 user class), RFC 3046 and 3527
(82, what a relay adds, and which link it means); UEFI 2.10, 24.7 (the vendor class `HTTPClient`);
iPXE's options within option 175 (ipxe.org/howto/dhcpd).
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from bakery.host.errors import BakeryError

SERVER_PORT, CLIENT_PORT = 67, 68
EVERYWHERE = "255.255.255.255"
LIMIT_BYTES = 4096
LEAST_BYTES = 300  # BOOTP's; some firmware drops what is shorter (RFC 1542, 2.1)
COOKIE = b"\x63\x82\x53\x63"
REQUEST, REPLY = 1, 2
BROADCAST = 0x8000
FILE_BYTES, NAME_BYTES = 128, 64
NOWHERE = IPv4Address(0)

PAD, END = 0, 255
SUBNET_MASK, ROUTER, DNS, HOST_NAME = 1, 3, 6, 12
NTP, VENDOR_INFO = 42, 43
REQUESTED_ADDRESS, LEASE_SECONDS, OVERLOAD, MESSAGE_TYPE, SERVER = 50, 51, 52, 53, 54
WANTED_OPTIONS, REASON, VENDOR_CLASS, CLIENT_ID = 55, 56, 60, 61
TFTP_SERVER, BOOT_FILE, USER_CLASS, RELAY_INFO = 66, 67, 77, 82
RELAY_LINK = 5  # within option 82 (RFC 3527)
ARCHITECTURE, UUID, IPXE = 93, 97, 175
PXE_CLIENT, HTTP_CLIENT = b"PXEClient", b"HTTPClient"
IPXE_NO_PROXY = b"\xb0\x01\x01"  # ipxe.no-pxedhcp: wait for no other server

DISCOVER, OFFER, REQUESTED, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
FROM_CLIENTS = (DISCOVER, REQUESTED, DECLINE, RELEASE, INFORM)
NAMES = {
    DISCOVER: "DISCOVER",
    OFFER: "OFFER",
    REQUESTED: "REQUEST",
    DECLINE: "DECLINE",
    ACK: "ACK",
    NAK: "NAK",
    RELEASE: "RELEASE",
    INFORM: "INFORM",
}

_HEAD = struct.Struct(f"!4BIHH4s4s4s4s16s{NAME_BYTES}s{FILE_BYTES}s4s")


class BadPacket(BakeryError):
    """Bytes that are no DHCP message; the message says why."""


@dataclass(frozen=True)
class Packet:
    """A message. `mac` is six bytes; `options` are whole, those in `file` and `sname` with them."""

    op: int
    xid: int
    mac: bytes
    options: Mapping[int, bytes] = field(default_factory=dict)
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = NOWHERE
    yiaddr: IPv4Address = NOWHERE
    siaddr: IPv4Address = NOWHERE
    giaddr: IPv4Address = NOWHERE
    sname: bytes = b""
    file: bytes = b""

    @property
    def message_type(self) -> int:
        """Option 53; 0 in a BOOTP message."""
        value = self.options.get(MESSAGE_TYPE, b"")
        return value[0] if len(value) == 1 else 0

    @property
    def message(self) -> str:
        """The message's name as RFC 2131 has it, without DHCP; empty where it has none."""
        return NAMES.get(self.message_type, "")

    @property
    def mac_text(self) -> str:
        """The client's address as `52:54:00:12:34:56`."""
        return self.mac.hex(":")

    def address(self, option: int) -> IPv4Address | None:
        """An option that is one IPv4 address; None where it is missing or something else."""
        value = self.options.get(option, b"")
        return IPv4Address(value) if len(value) == 4 else None

    @property
    def architectures(self) -> tuple[int, ...]:
        """The client's system architectures in its order of liking (RFC 4578, 2.1)."""
        value = self.options.get(ARCHITECTURE, b"")
        return struct.unpack(f"!{len(value) // 2}H", value[: len(value) & ~1])

    @property
    def is_ipxe(self) -> bool:
        """Whether iPXE asks; it says so in option 175, and as its user class."""
        return IPXE in self.options or b"iPXE" in self.options.get(USER_CLASS, b"")

    @property
    def is_pxe(self) -> bool:
        """Whether firmware asks that wants to boot."""
        return ARCHITECTURE in self.options or self._vendor.startswith((PXE_CLIENT, HTTP_CLIENT))

    @property
    def is_http(self) -> bool:
        """Whether it is firmware that boots by a URL (UEFI HTTP boot), not by TFTP."""
        return self._vendor.startswith(HTTP_CLIENT)

    @property
    def relayed(self) -> bool:
        """Whether it came through a relay, which answers go to."""
        return self.giaddr != NOWHERE

    @property
    def relay_link(self) -> IPv4Address | None:
        """The link that a relay says its client is on, where that is not its own address's."""
        found = dict(_options(self.options.get(RELAY_INFO, b""))).get(RELAY_LINK, b"")
        return IPv4Address(found) if len(found) == 4 else None

    @property
    def _vendor(self) -> bytes:
        return self.options.get(VENDOR_CLASS, b"")


def parse(data: bytes) -> Packet:
    """The message in a datagram; BadPacket where it is none, or none of an Ethernet client."""
    if not _HEAD.size <= len(data) <= LIMIT_BYTES:
        raise BadPacket(f"{len(data)} bytes are not a DHCP message")
    head = _HEAD.unpack_from(data)
    op, kind, length, _hops, xid, secs, flags = head[:7]
    if head[14] != COOKIE:
        raise BadPacket("the magic cookie is missing")
    if (kind, length) != (1, 6):
        raise BadPacket("the client's hardware address is not an Ethernet one")
    if op not in (REQUEST, REPLY):
        raise BadPacket(f"the operation {op} does not exist")
    options = _gather([data[_HEAD.size :]])
    sname, file = head[12], head[13]
    # RFC 2131, 4.1: options may go on in `file`, then in `sname`.
    overload = options.get(OVERLOAD, b"\0")[0]
    more = ([file] if overload & 1 else []) + ([sname] if overload & 2 else [])
    if more:
        options = _gather([data[_HEAD.size :], *more])
    ciaddr, yiaddr, siaddr, giaddr = map(IPv4Address, head[7:11])
    return Packet(
        op=op,
        xid=xid,
        mac=head[11][:6],
        options=options,
        secs=secs,
        flags=flags,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=siaddr,
        giaddr=giaddr,
        sname=b"" if overload & 2 else _text(sname),
        file=b"" if overload & 1 else _text(file),
    )


def encode(packet: Packet) -> bytes:
    """The datagram of a message, at least LEAST_BYTES long."""
    if len(packet.file) >= FILE_BYTES or len(packet.sname) >= NAME_BYTES:
        raise BadPacket("the boot file's or the server's name is too long for its field")
    head = _HEAD.pack(
        *(packet.op, 1, 6, 0, packet.xid, packet.secs, packet.flags),
        *(a.packed for a in (packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr)),
        *(packet.mac, packet.sname, packet.file, COOKIE),
    )
    body = b"".join(_pieces(packet.options)) + bytes([END])
    return (head + body).ljust(LEAST_BYTES, b"\0")


def _pieces(options: Mapping[int, bytes]) -> Iterator[bytes]:
    for code, value in options.items():
        if not PAD < code < END:
            raise BadPacket(f"the option {code} cannot be sent")
        for start in range(0, max(1, len(value)), 255):
            piece = value[start : start + 255]
            yield bytes([code, len(piece)]) + piece


def _gather(areas: list[bytes]) -> dict[int, bytes]:
    """The options in some areas of a message; pieces of one option are joined (RFC 3396)."""
    found: dict[int, bytearray] = {}
    for area in areas:
        for code, value in _options(area):
            found.setdefault(code, bytearray()).extend(value)
    options = {code: bytes(value) for code, value in found.items()}
    if OVERLOAD in options and len(options[OVERLOAD]) < 1:
        raise BadPacket("the option 52 is empty")
    return options


def _options(area: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(area):
        code = area[place]
        if code == END:
            return
        place += 1
        if code == PAD:
            continue
        if place >= len(area) or place + 1 + area[place] > len(area):
            raise BadPacket(f"the option {code} goes beyond the end")
        length = area[place]
        yield code, area[place + 1 : place + 1 + length]
        place += 1 + length


def _text(padded: bytes) -> bytes:
    return padded.split(b"\0", 1)[0]
