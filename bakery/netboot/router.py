"""The answer to IPv6 router solicitations: there is no router here.

iPXE configures IPv4 and IPv6 and waits up to 16 seconds for a router that is not there. An
advertisement with a router lifetime of 0 and no prefix lets it go on at once, and gives nobody
an address or a route (RFC 4861, 4.2 and 6.2.5). Known nodes alone are answered: on a network that
has routers, all others are these routers' concern.
"""

import socket
import struct
from collections.abc import Callable

from bakery.netboot.loop import SO_BINDTODEVICE, Loop, cannot_serve
from bakery.netboot.wire_events import Advertised, Sink

ALL_NODES, ALL_ROUTERS = "ff02::1", "ff02::2"
SOLICITATION, ADVERTISEMENT = 133, 134
ICMP6_FILTER = 1  # linux/icmpv6.h: ICMPV6_FILTER
HOP_LIMIT = 255  # RFC 4861, 6.1.1: what has passed a router does not count
LIMIT_BYTES = 1500

# Type, code, checksum (the kernel's work), hop limit 0 and flags 0 (nothing is said), router
# lifetime 0, reachable time 0, retransmission timer 0.
NO_ROUTER = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0)


SOURCE_ADDRESS = 1  # the option with the sender's hardware address (RFC 4861, 4.6.1)

Knows = Callable[[str], object]


class RouterAdvertiser(Loop):
    """Answers router solicitations on one interface; it must have a link-local IPv6 address.

    `knows` tells of a hardware address, such as `52:54:00:12:34:56`, whether it is a node's.
    """

    name = "IPv6 router advertisement"

    def __init__(self, interface: str, knows: Knows, on_event: Sink) -> None:
        super().__init__(on_event)
        self._knows = knows
        self._interface = interface
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Open a raw socket that gets solicitations alone; BakeryError where it is not allowed."""
        try:
            self._socket = self._opened()
        except OSError as error:
            raise cannot_serve(error, self.name, ("::", 0), self._interface) from error
        self.watch(self._socket, self._answer)

    def _opened(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        try:
            index = socket.if_nametoindex(self._interface)
            device = self._interface.encode() + b"\0"
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
            sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, _only(SOLICITATION))
            group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("=I", index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        except BaseException:
            sock.close()
            raise
        return sock

    def _answer(self) -> None:
        assert self._socket is not None
        data, sender = self._socket.recvfrom(LIMIT_BYTES)
        asks = len(data) >= 8 and data[0] == SOLICITATION and data[1] == 0
        if asks and self._knows(_hardware_address(data)):
            index = socket.if_nametoindex(self._interface)
            self._socket.sendto(NO_ROUTER, (ALL_NODES, 0, 0, index))
            self.on_event(Advertised(sender[0].split("%")[0]))


def _hardware_address(solicitation: bytes) -> str:
    """Whose card a solicitation is from, as it says itself; empty where it does not."""
    options = solicitation[8:]
    while len(options) >= 8 and options[1]:  # a length of 0 would have no end (RFC 4861, 4.6)
        if options[0] == SOURCE_ADDRESS:
            return options[2:8].hex(":")
        options = options[options[1] * 8 :]
    return ""


def _only(kind: int) -> bytes:
    """A filter that lets one ICMPv6 type through: a set bit blocks (RFC 3542, 3.2)."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] &= ~(1 << (kind & 31))
    return struct.pack("=8I", *words)
