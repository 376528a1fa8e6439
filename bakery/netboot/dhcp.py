"""A DHCP server for machines that boot over the network.

It answers clients whose address is known and nobody else, so that it does no harm on a wire it
does not own. It says so when another DHCP server is there: a node that boots by the other one's
answer would not be deployed (RFC 2131: the client takes whichever offer it likes).

Answers are broadcast: a client without an address cannot be asked for its hardware address, and
every client must take a broadcast (RFC 2131, 4.1).
"""

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface

from bakery.host.errors import BakeryError
from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import BadPacket, Packet
from bakery.netboot.firmware_files import BootFiles, asker
from bakery.netboot.leases import Leases
from bakery.netboot.loop import Loop, bound
from bakery.netboot.wire_events import Dhcp, DhcpIgnored, DhcpRival, Seldom, Sink, readable

SERVER_PORT, CLIENT_PORT = 67, 68
PROBE_SECONDS = 60.0
EVERYWHERE = "255.255.255.255"
# RFC 6842: the client's id goes back to it; a longer one is nothing a real client has.
CLIENT_ID_LIMIT_BYTES = 64
PACKETS_AT_ONCE = 64

IP_PKTINFO = 8  # ip(7)
SIOCGIFHWADDR = 0x8927  # netdevice(7)


@dataclass(frozen=True)
class KnownNode:
    """What a client with a known hardware address is told.

    `address`, if given, is the only one it gets, and lies outside the range of the leases.
    """

    files: BootFiles
    name: str = ""
    address: IPv4Address | None = None


FindNode = Callable[[str], KnownNode | None]


@dataclass(frozen=True)
class Wire:
    """The interface that is served, the server's own address with its netmask, and the way out.

    Without a `router` nodes are told none, and so reach this wire alone.
    """

    interface: str
    address: IPv4Interface
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()


class DhcpServer(Loop):
    """DHCP on one interface, for the clients that `find` knows by their hardware address.

    `find` takes an address such as `52:54:00:12:34:56` and is asked at each message, so that
    what a node boots may change between two boots. With `probe`, other servers are looked for at
    the start and every minute, besides what nodes' own messages give away.
    """

    name = "DHCP"

    def __init__(
        self, place: Wire, leases: Leases, find: FindNode, on_event: Sink, *, probe: bool = True
    ) -> None:
        super().__init__(on_event)
        self._place = place
        self._leases = leases
        self._find = find
        self._probe = probe
        self._probe_due = 0.0
        self._own_xid = int.from_bytes(os.urandom(4), "big")
        self._untold = Seldom()
        self._rivals = Seldom()
        self._server: socket.socket | None = None
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take the server's port, and where it is free the client's, to hear other servers."""
        interface = self._place.interface
        self._server = bound(socket.SOCK_DGRAM, ("", SERVER_PORT), self.name, interface)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._index = socket.if_nametoindex(interface)
        self._own_mac = _hardware_address(self._server, interface)
        self.watch(self._server, self._requests)
        try:
            self._listener = bound(socket.SOCK_DGRAM, ("", CLIENT_PORT), self.name, interface)
        except BakeryError as error:
            self.trouble(f"other DHCP servers will not be heard: {error.message}")
        else:
            self.watch(self._listener, self._replies)

    def tick(self) -> None:
        """Ask from time to time who else answers."""
        if self._probe and self._listener and time.monotonic() >= self._probe_due:
            self._probe_due = time.monotonic() + PROBE_SECONDS
            question = Packet(
                op=wire.REQUEST,
                xid=self._own_xid,
                mac=self._own_mac,
                flags=wire.BROADCAST,
                options={wire.MESSAGE_TYPE: bytes([wire.DISCOVER])},
            )
            self._send(question, EVERYWHERE, SERVER_PORT)

    def _requests(self) -> None:
        assert self._server is not None
        for _ in range(PACKETS_AT_ONCE):
            data = self._server.recv(wire.LIMIT_BYTES)
            try:
                packet = wire.parse(data)
            except BadPacket as error:
                self._ignore("", error.message)
                continue
            if packet.op == wire.REQUEST and packet.mac != self._own_mac:
                self._serve(packet)

    def _replies(self) -> None:
        """What other servers send to clients: a broadcast is heard here as well."""
        assert self._listener is not None
        data, (sender, _port) = self._listener.recvfrom(wire.LIMIT_BYTES)
        try:
            packet = wire.parse(data)
        except BadPacket:
            return
        if packet.op == wire.REPLY and sender != str(self._place.address.ip):
            mac = "" if packet.mac == self._own_mac else packet.mac_text
            self._tell_rival(packet.address(wire.SERVER) or IPv4Address(sender), mac)

    def _serve(self, packet: Packet) -> None:
        node = self._find(packet.mac_text)
        if node is None:
            self._ignore(packet.mac_text, "no known node has this address")
            return
        if packet.giaddr != wire.NOWHERE:
            self._ignore(packet.mac_text, "the message came through a relay")
            return
        actions = {
            wire.DISCOVER: self._discover,
            wire.REQUESTED: self._request,
            wire.INFORM: self._inform,
            wire.RELEASE: self._give_back,
            wire.DECLINE: self._give_back,
        }
        action = actions.get(packet.message_type)
        if action is None:
            self._ignore(packet.mac_text, "not a message that a client sends")
        else:
            action(packet, node)

    def _discover(self, packet: Packet, node: KnownNode) -> None:
        wanted = packet.address(wire.REQUESTED_ADDRESS)
        address = self._leases.offer(packet.mac_text, wanted, node.address)
        if address is None:
            self._ignore(packet.mac_text, "no address is free")
        else:
            self._answer(packet, node, wire.OFFER, address)

    def _request(self, packet: Packet, node: KnownNode) -> None:
        """A client takes our offer or another's, asks after a restart, or renews its lease."""
        server = packet.address(wire.SERVER)
        if server is not None and server != self._place.address.ip:
            self._tell_rival(server, packet.mac_text)
            self._tell(packet)
            return
        address = packet.address(wire.REQUESTED_ADDRESS) or packet.ciaddr
        mine = address in self._place.address.network and address != self._place.address.ip
        if mine and self._leases.bind(packet.mac_text, address, node.address):
            self._answer(packet, node, wire.ACK, address)
        else:
            refusal = self._reply(packet, wire.NAK, {})
            self._send(refusal, EVERYWHERE, CLIENT_PORT)
            self._tell(packet, "NAK", address)

    def _inform(self, packet: Packet, node: KnownNode) -> None:
        """A client that has an address asks for the rest; it gets no lease (RFC 2131, 4.3.5)."""
        options, file = self._boot(packet, node)
        reply = replace(self._reply(packet, wire.ACK, self._network() | options), file=file)
        inside = packet.ciaddr in self._place.address.network
        self._send(reply, str(packet.ciaddr) if inside else EVERYWHERE, CLIENT_PORT)
        self._tell(packet, "ACK", file=node.files.of(packet))

    def _give_back(self, packet: Packet, node: KnownNode) -> None:
        declined = packet.message_type == wire.DECLINE
        address = packet.address(wire.REQUESTED_ADDRESS) if declined else packet.ciaddr
        action = self._leases.decline if declined else self._leases.release
        if address is not None and action(packet.mac_text, address):
            self._tell(packet, address=address)
        else:
            self._ignore(packet.mac_text, "not this client's address, or one too many")

    def _answer(self, packet: Packet, node: KnownNode, kind: int, address: IPv4Address) -> None:
        options, file = self._boot(packet, node)
        lease = {wire.LEASE_SECONDS: struct.pack("!I", self._leases.seconds)}
        if node.name:
            lease[wire.HOST_NAME] = node.name.encode("ascii")
        reply = self._reply(packet, kind, lease | self._network() | options)
        reply = replace(reply, yiaddr=address, ciaddr=packet.ciaddr, file=file)
        # Who renews has its address already, and may not listen to broadcasts.
        self._send(reply, str(address) if packet.ciaddr == address else EVERYWHERE, CLIENT_PORT)
        self._tell(packet, wire.NAMES[kind], address, node.files.of(packet))

    def _reply(self, packet: Packet, kind: int, options: dict[int, bytes]) -> Packet:
        """An answer with what every answer has."""
        own = self._place.address.ip
        head = {wire.MESSAGE_TYPE: bytes([kind]), wire.SERVER: own.packed}
        client_id = packet.options.get(wire.CLIENT_ID, b"")
        if 0 < len(client_id) <= CLIENT_ID_LIMIT_BYTES:
            options = options | {wire.CLIENT_ID: client_id}
        return Packet(
            op=wire.REPLY,
            xid=packet.xid,
            mac=packet.mac,
            flags=packet.flags & wire.BROADCAST,
            siaddr=wire.NOWHERE if kind == wire.NAK else own,
            options=head | options,
        )

    def _network(self) -> dict[int, bytes]:
        place = self._place
        options = {wire.SUBNET_MASK: place.address.netmask.packed}
        if place.router:
            options[wire.ROUTER] = place.router.packed
        if place.dns:
            options[wire.DNS] = b"".join(server.packed for server in place.dns)
        return options

    def _boot(self, packet: Packet, node: KnownNode) -> tuple[dict[int, bytes], bytes]:
        """The options of a booting client, and the field `file`.

        The name goes into the field, which all firmware reads, and as option 67 to those that
        ask for it or where the field is too short.
        """
        if not asker(packet):
            return {}, b""
        options: dict[int, bytes] = {}
        uuid = packet.options.get(wire.UUID, b"")
        if len(uuid) == 17:  # RFC 4578, 2.3: its type, and 16 bytes
            options[wire.UUID] = uuid
        if packet.is_ipxe:
            options[wire.IPXE] = wire.IPXE_NO_PROXY
        file = node.files.of(packet).encode("ascii")
        if not file:
            return options, b""
        fits = len(file) < wire.FILE_BYTES
        asked = packet.options.get(wire.WANTED_OPTIONS, b"")
        if not fits or wire.BOOT_FILE in asked:
            options[wire.BOOT_FILE] = file
        if wire.TFTP_SERVER in asked:
            options[wire.TFTP_SERVER] = str(self._place.address.ip).encode()
        return options, file if fits else b""

    def _send(self, packet: Packet, to: str, port: int) -> None:
        """Send from our own address, which need not be the interface's first (ip(7))."""
        assert self._server is not None
        source = struct.pack("=i4s4s", self._index, self._place.address.ip.packed, b"\0" * 4)
        ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, source)]
        self._server.sendmsg([wire.encode(packet)], ancillary, 0, (to, port))

    def _tell(
        self, packet: Packet, answer: str = "", address: IPv4Address | None = None, file: str = ""
    ) -> None:
        where = "" if address is None else str(address)
        mac, who = packet.mac_text, asker(packet)
        self.on_event(Dhcp(mac, packet.message, answer, where, who, file if who else ""))

    def _tell_rival(self, server: IPv4Address, mac: str) -> None:
        if server != self._place.address.ip and self._rivals(f"{server} {mac}"):
            self.on_event(DhcpRival(str(server), mac))

    def _ignore(self, mac: str, reason: str) -> None:
        if self._untold(f"{mac} {reason}"):
            self.on_event(DhcpIgnored(mac, readable(reason)))


def _hardware_address(sock: socket.socket, interface: str) -> bytes:
    """An interface's six bytes (netdevice(7)); /sys may belong to another network namespace."""
    request = struct.pack("256s", interface.encode()[:15])
    return fcntl.ioctl(sock.fileno(), SIOCGIFHWADDR, request)[18:24]
