"""What nodes ask the site's DHCP server for, as it passes the wire; nothing is ever answered."""

import socket

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.boot_answer import told
from bakery.netboot.dhcp import STRANGER_SECONDS, FindNode
from bakery.netboot.dhcp_packet import SERVER_PORT, BadPacket
from bakery.netboot.loop import Loop
from bakery.netboot.packet_socket import LIMIT_BYTES, datagram, opened
from bakery.netboot.strangers import stranger
from bakery.netboot.wire_events import Seldom, Sink

PACKETS_AT_ONCE = 64


class DhcpWatch(Loop):
    """Tells of messages of clients that `find` knows, and of others that boot over the network."""

    name = "DHCP"

    def __init__(self, interface: str, find: FindNode, on_event: Sink) -> None:
        super().__init__(on_event)
        self._interface = interface
        self._find = find
        self._strangers = Seldom(STRANGER_SECONDS)
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Listen; BakeryError where that is not allowed."""
        self._socket = opened(self._interface, "the DHCP listener")
        self.watch(self._socket, self._heard)

    def _heard(self) -> None:
        assert self._socket is not None
        for _ in range(PACKETS_AT_ONCE):
            self._look(self._socket.recv(LIMIT_BYTES))

    def _look(self, data: bytes) -> None:
        heard = datagram(data)
        if heard is None or heard.port != SERVER_PORT:
            return
        try:
            packet = wire.parse(heard.payload)
        except BadPacket:
            return
        if packet.op != wire.REQUEST or packet.message_type not in wire.FROM_CLIENTS:
            return
        if self._find(packet.mac_text):
            self.on_event(told(packet, address=packet.address(wire.REQUESTED_ADDRESS)))
        elif packet.is_pxe and self._strangers(packet.mac_text):
            self.on_event(stranger(packet))
