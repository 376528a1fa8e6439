"""DHCP that gives out addresses: on the served wire, and to relays whose networks have a range.

Sources: RFC 2131 (4.1 to whom an answer goes, 4.3 what is answered), RFC 3046 (relays).
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from bakery.netboot import dhcp_packet as wire
from bakery.netboot.boot_answer import back, boot, reply, told
from bakery.netboot.dhcp import KnownNode, Served, Source, Unserved
from bakery.netboot.dhcp_packet import CLIENT_PORT, SERVER_PORT, Packet
from bakery.netboot.leases import Leases
from bakery.netboot.subnet import Subnet


class Own:
    """Addresses for those that are known, out of `subnets`, of which the first is the wire's.

    Behind a relay a client's way out is the relay where its subnet names no other. `dns` and
    `ntp` are told everywhere.
    """

    ports: tuple[int, ...] = (SERVER_PORT,)
    alone = True

    def __init__(
        self,
        own: IPv4Interface,
        leases: Leases,
        subnets: Sequence[Subnet],
        *,
        dns: Sequence[IPv4Address] = (),
        ntp: Sequence[IPv4Address] = (),
    ) -> None:
        self._own = own.ip
        self._leases = leases
        self._subnets = tuple(subnets)
        self._servers = {wire.DNS: tuple(dns), wire.NTP: tuple(ntp)}

    def disturbs(self, packet: Packet) -> bool:
        """Any other server does: the client takes whichever offer it likes."""
        return True

    def serve(self, packet: Packet, node: KnownNode, source: Source) -> Served:
        """What a client's message gets; raises Unserved."""
        actions = {
            wire.DISCOVER: self._discover,
            wire.REQUESTED: self._request,
            wire.INFORM: self._inform,
            wire.RELEASE: self._give_back,
            wire.DECLINE: self._give_back,
        }
        action = actions.get(packet.message_type)
        if action is None:
            raise Unserved("not a message that a client sends")
        return action(packet, node)

    def _discover(self, packet: Packet, node: KnownNode) -> Served:
        subnet = self._subnet(packet)
        wanted = packet.address(wire.REQUESTED_ADDRESS)
        within = subnet.first, subnet.last
        address = self._leases.offer(packet.mac_text, wanted, self._fixed(node, subnet), within)
        if address is None:
            raise Unserved("no address is free")
        return self._answer(packet, node, wire.OFFER, address, subnet)

    def _request(self, packet: Packet, node: KnownNode) -> Served:
        """A client takes our offer or another's, asks after a restart, or renews its lease."""
        server = packet.address(wire.SERVER)
        if server is not None and server != self._own:
            return Served(told(packet), server=server)
        subnet = self._subnet(packet)
        address = packet.address(wire.REQUESTED_ADDRESS) or packet.ciaddr
        fits = address in subnet.network and address != self._own
        within = subnet.first, subnet.last
        fixed = self._fixed(node, subnet)
        if fits and self._leases.bind(packet.mac_text, address, fixed, within):
            return self._answer(packet, node, wire.ACK, address, subnet)
        refusal = reply(packet, wire.NAK, self._own, {})
        if packet.relayed:  # RFC 2131, 4.3.2: the relay is to broadcast it
            refusal = replace(refusal, flags=wire.BROADCAST)
        return Served(told(packet, "NAK", address), refusal, back(packet))

    def _inform(self, packet: Packet, node: KnownNode) -> Served:
        """A client that has an address asks for the rest; it gets no lease (RFC 2131, 4.3.5)."""
        subnet = self._subnet(packet)
        options, file = self._boot(packet, node)
        head = reply(packet, wire.ACK, self._own, self._network(packet, subnet) | options)
        inside = packet.ciaddr in subnet.network
        to = (str(packet.ciaddr), CLIENT_PORT) if inside else back(packet)
        event = told(packet, "ACK", file=node.files.of(packet))
        return Served(event, replace(head, file=file), to)

    def _give_back(self, packet: Packet, _node: KnownNode) -> Served:
        declined = packet.message_type == wire.DECLINE
        address = packet.address(wire.REQUESTED_ADDRESS) if declined else packet.ciaddr
        action = self._leases.decline if declined else self._leases.release
        if address is None or not action(packet.mac_text, address):
            raise Unserved("not this client's address, or one too many")
        return Served(told(packet, address=address))

    def _answer(
        self, packet: Packet, node: KnownNode, kind: int, address: IPv4Address, subnet: Subnet
    ) -> Served:
        options, file = self._boot(packet, node)
        lease = {wire.LEASE_SECONDS: struct.pack("!I", self._leases.seconds)}
        if node.name:
            lease[wire.HOST_NAME] = node.name.encode("ascii")
        head = reply(packet, kind, self._own, lease | self._network(packet, subnet) | options)
        answer = replace(head, yiaddr=address, ciaddr=packet.ciaddr, file=file)
        # Who renews has its address already, and may not listen to broadcasts.
        renews = packet.ciaddr == address and not packet.relayed
        to = (str(address), CLIENT_PORT) if renews else back(packet)
        event = told(packet, wire.NAMES[kind], address, node.files.of(packet))
        return Served(event, answer, to)

    def _subnet(self, packet: Packet) -> Subnet:
        """The network that the client is on: its relay says it, or its own address."""
        place = (packet.relay_link or packet.giaddr) if packet.relayed else packet.ciaddr
        for subnet in self._subnets:
            if place in subnet.network:
                return subnet
        if packet.relayed:
            raise Unserved(f"no range is given for {place}, where the relay {packet.giaddr} asks")
        return self._subnets[0]

    def _fixed(self, node: KnownNode, subnet: Subnet) -> IPv4Address | None:
        """The address a node is promised, on the network that it is of."""
        return node.address if node.address and node.address in subnet.network else None

    def _network(self, packet: Packet, subnet: Subnet) -> dict[int, bytes]:
        options = {wire.SUBNET_MASK: subnet.network.netmask.packed}
        relay = packet.giaddr if packet.giaddr in subnet.network else None
        if router := subnet.router or relay:
            options[wire.ROUTER] = router.packed
        for option, servers in self._servers.items():
            if servers:
                options[option] = b"".join(server.packed for server in servers)
        return options

    def _boot(self, packet: Packet, node: KnownNode) -> tuple[dict[int, bytes], bytes]:
        options, file = boot(packet, node.files, self._own)
        if packet.is_ipxe:
            options[wire.IPXE] = wire.IPXE_NO_PROXY
        return options, file
