"""A network that addresses are given out in: the served wire's own, or one behind a relay."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

# What is free is looked for one by one.
ADDRESSES_LIMIT = 1 << 16
_RANGE = re.compile(r"([0-9.]{7,15})-([0-9.]{7,15})(?:/([0-9]{1,2}))?", re.ASCII)
FORM = "such as 10.1.2.100-10.1.2.150, or 10.9.0.10-10.9.0.99/24 for a network behind a relay"


@dataclass(frozen=True)
class Subnet:
    """The addresses from `first` to `last` of a network, and its clients' way out, if any."""

    network: IPv4Network
    first: IPv4Address
    last: IPv4Address
    router: IPv4Address | None = None


def half_of(own: IPv4Interface, router: IPv4Address | None = None) -> Subnet:
    """That half of an interface's network which its own address is not in."""
    network = own.network
    middle = network.network_address + network.num_addresses // 2
    if own.ip < middle:
        return Subnet(network, middle, network.broadcast_address - 1, router)
    return Subnet(network, network.network_address + 1, middle - 1, router)


def subnets(
    ranges: Sequence[str], own: IPv4Interface, router: IPv4Address | None = None
) -> tuple[Subnet, ...]:
    """The networks that some ranges name; the wire's own is always the first of them.

    A range outside it has the length of its network's prefix behind a slash. `router` is the way
    out of the wire; who is behind a relay is told the relay. BakeryError where a range cannot be
    given out.
    """
    found = [_parse(text, own) for text in ranges]
    for one in found:
        if [other.network.overlaps(one.network) for other in found].count(True) > 1:
            raise BakeryError(f"two ranges are in network {one.network}", "give one per network")
    inside = [Subnet(*_fields(one), router) for one in found if one.network == own.network]
    return (*(inside or [half_of(own, router)]), *(x for x in found if x.network != own.network))


def _fields(subnet: Subnet) -> tuple[IPv4Network, IPv4Address, IPv4Address]:
    return subnet.network, subnet.first, subnet.last


def _parse(text: str, own: IPv4Interface) -> Subnet:
    match = _RANGE.fullmatch(text)
    try:
        if match is None:
            raise ValueError("no range")
        first, last = IPv4Address(match[1]), IPv4Address(match[2])
        network = IPv4Network(f"{first}/{match[3]}", strict=False) if match[3] else own.network
    except ValueError:
        raise BakeryError(f"{shown(text)} is not a range of addresses", FORM) from None
    subnet = Subnet(network, first, last)
    if reason := _wrong(subnet, own, has_prefix=bool(match[3])):
        raise BakeryError(f"the range {text} cannot be given out: {reason}", FORM)
    return subnet


def _wrong(subnet: Subnet, own: IPv4Interface, *, has_prefix: bool) -> str:
    """Why a range cannot be given out; empty where it can."""
    network, first, last = _fields(subnet)
    if not (first in network and last in network):
        missing = "" if has_prefix else ", and its network's prefix is not given"
        return f"it is not within {network}{missing}"
    if first > last:
        return "it ends before it begins"
    if int(last) - int(first) >= ADDRESSES_LIMIT:
        return f"it has more than {ADDRESSES_LIMIT} addresses"
    if first <= own.ip <= last:
        return f"{own.ip} is this machine's own address"
    if network.prefixlen < 31 and (first, last) != (
        max(first, network.network_address + 1),
        min(last, network.broadcast_address - 1),
    ):
        return f"the first and the last address of {network} are nobody's"
    if network != own.network and network.overlaps(own.network):
        return f"its network {network} overlaps this interface's network, {own.network}"
    return ""
