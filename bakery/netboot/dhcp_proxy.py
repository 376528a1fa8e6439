"""ProxyDHCP: the site's server gives the addresses, ours says what to boot.

A PXE client's DISCOVER gets an OFFER without an address, with the vendor class `PXEClient`; the
client takes the address of another offer and the boot file of ours. It may ask once more, at port
4011 and from its address (PXE 2.1, 2.2.3 to 2.2.5). UEFI that boots by HTTP takes such an offer
with the class `HTTPClient` (UEFI 2.10, 24.7.3).
"""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.boot_answer import back, boot, reply, told
from bakery.netboot.dhcp import KnownNode, Served, Source, Unserved
from bakery.netboot.dhcp_packet import SERVER_PORT, Packet
from bakery.netboot.firmware_files import asker

BOOT_PORT = 4011
# Option 43: PXE_DISCOVERY_CONTROL (6), bit 3: load the file that is named, ask for no other
# server and show no menu (PXE 2.1, table 2-1).
LOAD_IT = b"\x06\x01\x08\xff"


class Proxy:
    """What those that are known boot; they get their addresses elsewhere.

    `claimed` is the address that a client behind a router says it has, by its MAC. It is no more
    than that: nothing on this network shows whose an address on another is.
    """

    ports: tuple[int, ...] = (SERVER_PORT, BOOT_PORT)
    alone = False

    def __init__(self, own: IPv4Interface) -> None:
        self._own, self._here = own.ip, own.network
        self.claimed: dict[str, str] = {}  # of nodes alone, so there are as many at most

    def disturbs(self, packet: Packet) -> bool:
        """Another server that names a boot file does; one that gives addresses is as it should."""
        vendor = packet.options.get(wire.VENDOR_CLASS, b"")
        return bool(packet.file or packet.options.get(wire.BOOT_FILE)) or vendor.startswith(
            (wire.PXE_CLIENT, wire.HTTP_CLIENT)
        )

    def serve(self, packet: Packet, node: KnownNode, source: Source) -> Served:
        """What a client's message gets; raises Unserved."""
        if packet.message_type not in wire.FROM_CLIENTS:
            raise Unserved("not a message that a client sends")
        if source.ours == BOOT_PORT and packet.message_type in (wire.REQUESTED, wire.INFORM):
            return self._boot_server(packet, node, source)
        if source.ours == SERVER_PORT and packet.message_type == wire.DISCOVER:
            return self._offer(packet, node)
        # To the site's server: what the client asks for is told, as far as it says it.
        address = packet.address(wire.REQUESTED_ADDRESS)
        if packet.relayed and packet.message_type == wire.REQUESTED and address:
            self._claim(packet, address)
        return Served(told(packet, address=address))

    def _offer(self, packet: Packet, node: KnownNode) -> Served:
        answer = self._answer(packet, node, wire.OFFER)
        if answer is None:
            return Served(told(packet))
        return Served(told(packet, "OFFER", file=node.files.of(packet)), answer, back(packet))

    def _boot_server(self, packet: Packet, node: KnownNode, source: Source) -> Served:
        """Who asks here has its address already, and is answered where it asks from."""
        answer = self._answer(packet, node, wire.ACK)
        if answer is None:
            raise Unserved("it is to load nothing")
        address = IPv4Address(source.address)
        self._claim(packet, address)
        event = told(packet, "ACK", address, node.files.of(packet))
        return Served(event, replace(answer, ciaddr=packet.ciaddr), (source.address, source.port))

    def _claim(self, packet: Packet, address: IPv4Address) -> None:
        if address not in self._here:
            self.claimed[packet.mac_text] = str(address)

    def _answer(self, packet: Packet, node: KnownNode, kind: int) -> Packet | None:
        """A reply that says what to load and gives no address; None where it is to load nothing."""
        options, file = boot(packet, node.files, self._own)
        if not asker(packet) or not node.files.of(packet):
            return None
        if not packet.is_http:
            options |= {wire.VENDOR_CLASS: wire.PXE_CLIENT, wire.VENDOR_INFO: LOAD_IT}
        return replace(reply(packet, kind, self._own, options), file=file)
