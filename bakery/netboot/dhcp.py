"""A DHCP server for machines that boot over the network.

It answers clients that are known and nobody else, so that it does no harm on a wire it does not
own. What it answers is its mode's: one that gives out addresses (`dhcp_own`), or one that leaves
these to the site's server and says what to boot alone (`dhcp_proxy`).

Answers are broadcast: a client without an address cannot be asked for its hardware address, and
every client must take a broadcast (RFC 2131, 4.1).
"""

import fcntl
import functools
import os
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple, Protocol

from bakery.host.errors import BakeryError
from bakery.netboot import dhcp_packet as wire
from bakery.netboot.dhcp_packet import CLIENT_PORT, EVERYWHERE, SERVER_PORT, BadPacket, Packet
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.loop import Loop, bound
from bakery.netboot.strangers import stranger
from bakery.netboot.wire_events import Dhcp, DhcpIgnored, DhcpRival, Seldom, Sink, readable

PROBE_SECONDS = 60.0
PACKETS_AT_ONCE = 64
STRANGER_SECONDS = 60.0

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
    """The interface that is served, and the server's own address with its netmask."""

    interface: str
    address: IPv4Interface


class Source(NamedTuple):
    """Where a message came from, and the port of ours that it came to."""

    address: str
    port: int
    ours: int = SERVER_PORT


@dataclass(frozen=True)
class Served:
    """What becomes of a known node's message: what is told of it, and the reply, if there is one.

    `server` is the other one that it names, where nodes are to take our addresses.
    """

    event: Dhcp
    reply: Packet | None = None
    to: tuple[str, int] = (EVERYWHERE, CLIENT_PORT)
    server: IPv4Address | None = None


class Unserved(Exception):
    """A message that gets no answer; the text says why."""


class Mode(Protocol):
    """What a server answers to those it knows.

    `ports` are those it is asked at. One that is `alone` gives the addresses: other servers should
    not be there, and are looked for from time to time; whoever asks is its concern.
    """

    ports: tuple[int, ...]
    alone: bool

    def serve(self, packet: Packet, node: KnownNode, source: Source) -> Served:
        """What a message of that node gets; raises Unserved."""

    def disturbs(self, packet: Packet) -> bool:
        """Whether another server's reply, as it is heard, keeps nodes from what ours says."""


class DhcpServer(Loop):
    """DHCP on one interface, for the clients that `find` knows by their hardware address.

    `find` takes an address such as `52:54:00:12:34:56` and is asked at each message, so that
    what a node boots may change between two boots.
    """

    name = "DHCP"

    def __init__(self, place: Wire, mode: Mode, find: FindNode, on_event: Sink) -> None:
        super().__init__(on_event)
        self._place = place
        self._mode = mode
        self._find = find
        self._probe_due = 0.0
        self._own_xid = int.from_bytes(os.urandom(4), "big")
        self._untold = Seldom()
        self._rivals = Seldom()
        self._strangers = Seldom(STRANGER_SECONDS)
        self._servers: dict[int, socket.socket] = {}
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Take the server's ports, and where it is free the client's, to hear other servers."""
        interface = self._place.interface
        for port in self._mode.ports:
            sock = bound(socket.SOCK_DGRAM, ("", port), self.name, interface)
            self.watch(sock, functools.partial(self._requests, sock, port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._servers[port] = sock
        self._index = socket.if_nametoindex(interface)
        self._own_mac = hardware_address(self._servers[SERVER_PORT], interface)
        try:
            self._listener = bound(socket.SOCK_DGRAM, ("", CLIENT_PORT), self.name, interface)
        except BakeryError as error:
            self.trouble(f"other DHCP servers will not be heard: {error.message}")
        else:
            self.watch(self._listener, self._replies)

    def tick(self) -> None:
        """Ask from time to time who else answers."""
        if self._mode.alone and self._listener and time.monotonic() >= self._probe_due:
            self._probe_due = time.monotonic() + PROBE_SECONDS
            self._send(question(self._own_xid, self._own_mac), (EVERYWHERE, SERVER_PORT))

    def _requests(self, sock: socket.socket, port: int) -> None:
        for _ in range(PACKETS_AT_ONCE):
            data, sender = sock.recvfrom(wire.LIMIT_BYTES)
            try:
                packet = wire.parse(data)
            except BadPacket as error:
                self._ignore("", error.message)
                continue
            if packet.op == wire.REQUEST and packet.mac != self._own_mac:
                self._serve(packet, Source(sender[0], sender[1], port))

    def _replies(self) -> None:
        """What other servers send to clients: a broadcast is heard here as well."""
        assert self._listener is not None
        data, (sender, _port) = self._listener.recvfrom(wire.LIMIT_BYTES)
        try:
            packet = wire.parse(data)
        except BadPacket:
            return
        ours = sender == str(self._place.address.ip)
        concerns = self._mode.alone or self._find(packet.mac_text)
        if packet.op == wire.REPLY and not ours and concerns and self._mode.disturbs(packet):
            mac = "" if packet.mac == self._own_mac else packet.mac_text
            self._tell_rival(packet.address(wire.SERVER) or IPv4Address(sender), mac)

    def _serve(self, packet: Packet, source: Source) -> None:
        node = self._find(packet.mac_text)
        if node is None:
            concerns = self._mode.alone or packet.is_pxe
            if concerns and self._strangers(packet.mac_text):
                self.on_event(stranger(packet))
            return
        if packet.relayed and not self._is_a_relays(packet.giaddr):
            self._ignore(packet.mac_text, f"{packet.giaddr} is no relay's address")
            return
        try:
            served = self._mode.serve(packet, node, source)
        except (Unserved, BadPacket) as reason:
            self._ignore(packet.mac_text, str(reason))
            return
        if served.server:
            self._tell_rival(served.server, packet.mac_text)
        try:
            if served.reply:
                self._send(served.reply, served.to, source.ours)
        except OSError as error:  # such as no route to a relay
            self._ignore(packet.mac_text, f"no answer reaches {served.to[0]}: {error.strerror}")
            return
        self.on_event(served.event)

    def _is_a_relays(self, address: IPv4Address) -> bool:
        """Whether a relay can have it: what is sent to the others would reach many, or us."""
        own = self._place.address
        nobodys = address.is_multicast or address.is_loopback or address.is_reserved
        here = own.ip, own.network.broadcast_address
        return not nobodys and address not in here and int(address) >> 24 > 0

    def _send(self, packet: Packet, to: tuple[str, int], port: int = SERVER_PORT) -> None:
        """Send from our own address, which need not be the interface's first (ip(7))."""
        source = struct.pack("=i4s4s", self._index, self._place.address.ip.packed, b"\0" * 4)
        ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, source)]
        self._servers[port].sendmsg([wire.encode(packet)], ancillary, 0, to)

    def _tell_rival(self, server: IPv4Address, mac: str) -> None:
        if server != self._place.address.ip and self._rivals(f"{server} {mac}"):
            self.on_event(DhcpRival(str(server), mac))

    def _ignore(self, mac: str, reason: str) -> None:
        if self._untold(f"{mac} {reason}"):
            self.on_event(DhcpIgnored(mac, readable(reason)))


def question(xid: int, mac: bytes) -> Packet:
    """A DISCOVER that asks who answers; it takes no offer."""
    return Packet(
        op=wire.REQUEST,
        xid=xid,
        mac=mac,
        flags=wire.BROADCAST,
        options={wire.MESSAGE_TYPE: bytes([wire.DISCOVER])},
    )


def hardware_address(sock: socket.socket, interface: str) -> bytes:
    """An interface's six bytes (netdevice(7)); /sys may belong to another network namespace."""
    request = struct.pack("256s", interface.encode()[:15])
    return fcntl.ioctl(sock.fileno(), SIOCGIFHWADDR, request)[18:24]
