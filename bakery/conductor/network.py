"""The network that nodes are deployed on, by who gives out its addresses.

It decides what the conductor answers to DHCP, and how it knows that an address is a node's: by its
own lease, or, where the site's server gives the addresses, by the neighbour table of the kernel.
"""

import contextlib
import ipaddress
from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Protocol

from bakery.conductor.messages import Network
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.netboot import dhcp_probe, neighbours
from bakery.netboot.dhcp import DhcpServer, FindNode, Wire
from bakery.netboot.dhcp_own import Own
from bakery.netboot.dhcp_proxy import Proxy
from bakery.netboot.dhcp_watch import DhcpWatch
from bakery.netboot.leases import Leases
from bakery.netboot.loop import Loop
from bakery.netboot.subnet import Subnet, subnets
from bakery.netboot.wire_events import Sink


class Addresses(Protocol):
    """Whose an address is, and what speaks DHCP for that; any thread may ask."""

    def holds(self, mac: str, address: str) -> bool:
        """Whether `address` is that MAC's now."""

    def one_holds(self, macs: Collection[str], address: str) -> bool:
        """Whether it is that of one of them."""

    def seen(self, address: str) -> None:
        """Somebody who is served talks from there."""

    def servers(self, find: FindNode, on_event: Sink) -> list[Loop]:
        """What is to be started for it; `find` knows the nodes by their MAC."""


def check(network: Network, own: IPv4Interface) -> None:
    """Raise BakeryError where an address or a range of the request is none."""
    _subnets(network, own)
    for texts in (network.dns, network.ntp):
        _addresses(texts)


@contextlib.contextmanager
def opened(network: Network, wire: Wire, folder: Path, report: Report) -> Iterator[Addresses]:
    """The network as it was asked for, for as long as it is deployed on.

    Raises BakeryError where addresses would be given out beside another server, or a range or an
    address of the request is none.
    """
    if network.dhcp == "off":
        yield _Watched(wire)
        return
    if network.dhcp == "proxy":
        if network.look_seconds and _look(network, wire, report) is None:
            report.note(
                f"no DHCP server answers on {wire.interface}: with --dhcp proxy the nodes get "
                "their addresses from one that is there already",
                "dhcp",
            )
        yield _Proxied(wire, Proxy(wire.address))
        return
    ranges = _subnets(network, wire.address)
    dns, ntp = _addresses(network.dns), _addresses(network.ntp)
    if network.look_seconds and (other := _look(network, wire, report)) is not None:
        raise BakeryError(
            f"another DHCP server answers on {wire.interface}: {other}",
            "leave the addresses to it: --dhcp proxy, or --dhcp off where it is to name the boot "
            "files as well; or stop it",
        )
    path = folder / f"leases-{wire.interface}.jsonl"
    with contextlib.closing(Leases(path, ranges[0].first, ranges[0].last)) as leases:
        yield _Leased(wire, leases, Own(wire.address, leases, ranges, dns=dns, ntp=ntp))


def _look(network: Network, wire: Wire, report: Report) -> IPv4Address | None:
    with report.step("dhcp", f"looking for DHCP servers on {wire.interface}"):
        return dhcp_probe.answering(wire.interface, wire.address, network.look_seconds)


def _subnets(network: Network, own: IPv4Interface) -> tuple[Subnet, ...]:
    gateway = _addresses((network.gateway,))[0] if network.gateway else None
    return subnets(network.ranges, own, gateway)


def _addresses(texts: tuple[str, ...]) -> tuple[IPv4Address, ...]:
    try:
        return tuple(IPv4Address(text) for text in texts)
    except ValueError as error:
        raise BakeryError(f"an option of the network is no IPv4 address: {error}") from None


class _Leased:
    """Addresses are the conductor's own leases."""

    def __init__(self, wire: Wire, leases: Leases, mode: Own) -> None:
        self._wire, self._leases, self._mode = wire, leases, mode

    def holds(self, mac: str, address: str) -> bool:
        """By the last lease of that MAC."""
        return bool(address) and self._leases.address(mac) == address

    def one_holds(self, macs: Collection[str], address: str) -> bool:
        """By theirs."""
        return any(self.holds(mac, address) for mac in macs)

    def seen(self, address: str) -> None:
        """The lease is in use."""
        self._leases.seen(address)

    def servers(self, find: FindNode, on_event: Sink) -> list[Loop]:
        """DHCP."""
        return [DhcpServer(self._wire, self._mode, find, on_event)]


class _Watched:
    """Addresses are the site's: one on this wire is whose frames for it go to.

    Of one behind a router nothing is known.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def holds(self, mac: str, address: str) -> bool:
        """By the kernel's neighbour table."""
        return self.one_holds({mac}, address)

    def one_holds(self, macs: Collection[str], address: str) -> bool:
        """By one look at the table, which may be long."""
        if not self._here(address):
            return False
        holder = neighbours.holder(address, self._wire.interface)
        return bool(holder) and holder in macs

    def seen(self, address: str) -> None:
        """What is not given out cannot be taken back either."""

    def servers(self, find: FindNode, on_event: Sink) -> list[Loop]:
        """Ears alone."""
        return [DhcpWatch(self._wire.interface, find, on_event)]

    def _here(self, address: str) -> bool:
        return ipaddress.ip_address(address) in self._wire.address.network


class _Proxied(_Watched):
    """As there; of one behind a router it is believed what came through the relay."""

    def __init__(self, wire: Wire, mode: Proxy) -> None:
        super().__init__(wire)
        self._mode = mode

    def one_holds(self, macs: Collection[str], address: str) -> bool:
        """By the neighbour table, or elsewhere by what was claimed."""
        if self._here(address):
            return super().one_holds(macs, address)
        return any(self._mode.claimed.get(mac) == address for mac in macs)

    def servers(self, find: FindNode, on_event: Sink) -> list[Loop]:
        """DHCP without addresses."""
        return [DhcpServer(self._wire, self._mode, find, on_event)]
