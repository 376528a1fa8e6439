"""The network of a node's deploy ramdisk, as the kernel arguments that its agent reads.

The agent's own page has the syntax and its source (`bakery.node.agent.static`).
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.node.agent.static import VLANS

MOST_DNS = 2  # as many as the kernel's ip= has places for
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)


@dataclass(frozen=True)
class NodeNetwork:
    """The card by its MAC, in lower case with colons, and what it is to be given.

    Without an `address`, with the length of its prefix, the ramdisk asks DHCP for all of it.
    BakeryError where this cannot be a node's.
    """

    mac: str
    address: IPv4Interface | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    vlan: int = 0

    def __post_init__(self) -> None:
        if not _MAC.fullmatch(self.mac):
            raise BakeryError(
                f"{shown(self.mac)} is not an Ethernet address", "such as 52:54:00:12:34:56"
            )
        if self.vlan and self.vlan not in VLANS:
            raise BakeryError(
                f"there is no VLAN {self.vlan}", f"they count from {VLANS[0]} to {VLANS[-1]}"
            )
        if self.address is None:
            if self.gateway or self.dns:
                raise BakeryError("a gateway and DNS servers belong to an address: DHCP tells them")
        else:
            self._check(self.address)

    def args(self) -> tuple[str, ...]:
        """The kernel arguments."""
        words = [f"BOOTIF=01-{self.mac.replace(':', '-')}"]
        if self.address:
            gateway = self.gateway or ""
            fields = [self.address.ip, "", gateway, self.address.netmask, "", "", "none", *self.dns]
            words += ["ip=" + ":".join(map(str, fields))]
        return (*words, *([f"bakery_vlan={self.vlan}"] if self.vlan else []))

    def _check(self, address: IPv4Interface) -> None:
        network, own = address.network, address.ip
        # In a network of two or one there is no address of its own and for all (RFC 3021).
        ends = (
            () if network.prefixlen > 30 else (network.network_address, network.broadcast_address)
        )
        if own in ends or own.is_multicast or own.is_loopback or own.is_unspecified:
            raise BakeryError(f"{address} cannot be a node's address")
        if self.gateway and (self.gateway not in network or self.gateway in (*ends, own)):
            raise BakeryError(
                f"the gateway {self.gateway} is none for {address}",
                f"it has to be another machine's address in {network}",
            )
        if len(self.dns) > MOST_DNS:
            raise BakeryError(f"a ramdisk takes {MOST_DNS} DNS servers, and not {len(self.dns)}")
