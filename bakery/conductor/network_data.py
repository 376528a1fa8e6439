"""A node's own network out of its `network_data`, as Ironic takes it for virtual media.

Of Nova's format the part that a ramdisk needs is read: one link, or a VLAN on one, with one IPv4
network. Sources: Nova's network_data.json schema; Ironic's guide "Layer 3 or DHCP-less ramdisk
booting".
"""

from ipaddress import IPv4Interface
from typing import Any

import msgspec

from bakery.conductor.messages import StaticNetwork
from bakery.host.errors import BakeryError

DEFAULT = ("0.0.0.0", "0.0.0.0")  # noqa: S104 - a route, and nothing that is bound
PHYSICAL = ("phy", "physical", "vif", "tap", "ovs", "bridge", "hw_veb", "")


class _Link(msgspec.Struct, frozen=True):
    id: str
    type: str = ""
    ethernet_mac_address: str = ""
    vlan_id: int = 0
    vlan_link: str = ""


class _Route(msgspec.Struct, frozen=True):
    network: str = ""
    netmask: str = ""
    gateway: str = ""


class _Service(msgspec.Struct, frozen=True):
    type: str = ""
    address: str = ""


class _Network(msgspec.Struct, frozen=True):
    link: str
    type: str = ""
    ip_address: str = ""
    netmask: str = ""
    gateway: str = ""
    routes: tuple[_Route, ...] = ()
    services: tuple[_Service, ...] = ()


class _Data(msgspec.Struct, frozen=True):
    links: tuple[_Link, ...] = ()
    networks: tuple[_Network, ...] = ()
    services: tuple[_Service, ...] = ()


def network_of(data: Any) -> StaticNetwork:  # noqa: ANN401 - as YAML had it
    """What it says; BakeryError where a ramdisk cannot be given that."""
    try:
        told = msgspec.convert(data, _Data, strict=False)
    except msgspec.ValidationError as error:
        raise BakeryError(f"cannot be read: {error}") from None
    networks = [one for one in told.networks if one.type in ("ipv4", "ipv4_dhcp")]
    if len(networks) != 1:
        raise BakeryError(f"has {len(networks)} IPv4 networks, and a ramdisk takes one")
    (network,) = networks
    card, vlan = _card({link.id: link for link in told.links}, network.link)
    if network.type == "ipv4_dhcp":
        return StaticNetwork(card, vlan=vlan)
    address = network.ip_address
    address += "" if "/" in address else f"/{network.netmask}"
    try:
        own = str(IPv4Interface(address))
    except ValueError as error:
        raise BakeryError(f"has an invalid address: {error}") from None
    ways = [one.gateway for one in network.routes if (one.network, one.netmask) == DEFAULT]
    names = [one.address for one in (*network.services, *told.services) if one.type == "dns"]
    gateway = network.gateway or next(iter(ways), "")
    return StaticNetwork(card, own, gateway, tuple(names[:2]), vlan)


def _card(links: dict[str, _Link], name: str) -> tuple[str, int]:
    """The MAC of a network's card, and its VLAN, 0 without."""
    link = links.get(name)
    if link is None:
        raise BakeryError(f"has no link {name!r}")
    if link.type == "vlan":
        below = links.get(link.vlan_link)
        if below is None or below.type == "vlan" or not link.vlan_id:
            raise BakeryError(f"has a VLAN without a number or a card: link {name!r}")
        return _mac(below), link.vlan_id
    if link.type not in PHYSICAL:
        raise BakeryError(f"has a link of type {link.type!r}, and a ramdisk takes cards and VLANs")
    return _mac(link), 0


def _mac(link: _Link) -> str:
    if not link.ethernet_mac_address:
        raise BakeryError(f"has no ethernet_mac_address for link {link.id!r}")
    return link.ethernet_mac_address.lower()
