"""What DHCP answers have in common, whoever gives the address: their head, and what to boot."""

from ipaddress import IPv4Address

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import CLIENT_PORT, EVERYWHERE, SERVER_PORT, Packet
from bakery.netboot.firmware_files import BootFiles, asker
from bakery.netboot.wire_events import Dhcp

# RFC 6842: the client's id goes back to it; a longer one is nothing a real client has.
CLIENT_ID_LIMIT_BYTES = 64


def reply(packet: Packet, kind: int, own: IPv4Address, options: dict[int, bytes]) -> Packet:
    """An answer of `kind` from `own`, with what every answer has; a relay's words go back last."""
    head = {wire.MESSAGE_TYPE: bytes([kind]), wire.SERVER: own.packed}
    client_id = packet.options.get(wire.CLIENT_ID, b"")
    if 0 < len(client_id) <= CLIENT_ID_LIMIT_BYTES:
        options = options | {wire.CLIENT_ID: client_id}
    if wire.RELAY_INFO in packet.options:  # RFC 3046, 2.2
        options = options | {wire.RELAY_INFO: packet.options[wire.RELAY_INFO]}
    return Packet(
        op=wire.REPLY,
        xid=packet.xid,
        mac=packet.mac,
        flags=packet.flags & wire.BROADCAST,
        siaddr=wire.NOWHERE if kind == wire.NAK else own,
        giaddr=packet.giaddr,
        options=head | options,
    )


def boot(packet: Packet, files: BootFiles, own: IPv4Address) -> tuple[dict[int, bytes], bytes]:
    """The options that tell a booting client what to load, and the field `file`.

    The name goes into the field, which all firmware reads, and as option 67 to those that ask for
    it or where the field is too short.
    """
    if not asker(packet):
        return {}, b""
    options: dict[int, bytes] = {}
    uuid = packet.options.get(wire.UUID, b"")
    if len(uuid) == 17:  # RFC 4578, 2.3: its type, and 16 bytes
        options[wire.UUID] = uuid
    file = files.of(packet).encode("ascii")
    if not file:
        return options, b""
    if packet.is_http:  # UEFI 2.10, 24.7.2: it takes no offer without
        options[wire.VENDOR_CLASS] = wire.HTTP_CLIENT
    fits = len(file) < wire.FILE_BYTES
    asked = packet.options.get(wire.WANTED_OPTIONS, b"")
    if not fits or wire.BOOT_FILE in asked:
        options[wire.BOOT_FILE] = file
    if wire.TFTP_SERVER in asked:
        options[wire.TFTP_SERVER] = str(own).encode()
    return options, file if fits else b""


def back(packet: Packet) -> tuple[str, int]:
    """Where an answer goes to a client without an address: to its relay, or to everybody."""
    return (str(packet.giaddr), SERVER_PORT) if packet.relayed else (EVERYWHERE, CLIENT_PORT)


def told(
    packet: Packet, answer: str = "", address: IPv4Address | None = None, file: str = ""
) -> Dhcp:
    """The event of a known node's message."""
    where = "" if address is None else str(address)
    who = asker(packet)
    return Dhcp(packet.mac_text, packet.message, answer, where, who, file if who else "")
