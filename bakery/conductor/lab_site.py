"""A lab as a place of nodes, by the record that its keeper writes."""

from collections.abc import Sequence
from ipaddress import IPv4Interface
from itertools import islice
from pathlib import Path
from uuid import UUID

import msgspec

from bakery.bmc.access import IpmiAccess
from bakery.conductor.messages import NodeSpec, StaticNetwork
from bakery.conductor.site import Site
from bakery.lab import state


def of_lab(folder: Path, names: Sequence[str], *, redfish: bool = False) -> Site:
    """The named nodes of the lab in `folder`, each once; BakeryError where one is not there.

    Their BMCs are spoken to by IPMI, or by `redfish`, which has virtual media: for these each node
    has an address of its own, since a lab has no DHCP server.
    """
    lab = state.load(folder)
    nodes = {node.name: node for node in map(lab.node, names)}
    return Site(
        nodes=tuple(
            _with_media(_spec(node), lab, node) if redfish else _spec(node)
            for node in nodes.values()
        ),
        interface=lab.interface,
        address=lab.address,
        journals=journals_of(folder),
        enter=lab.enter,
    )


def journals_of(folder: Path) -> Path:
    """Where what is known of a lab's deploys is kept, beside its own folder."""
    return folder.with_name(f"{folder.name}-deploys")


def _with_media(spec: NodeSpec, lab: state.Lab, node: state.Node) -> NodeSpec:
    """The node with the BMC that has a drive, and an address by its place among the lab's."""
    own = IPv4Interface(lab.address)
    others = (address for address in own.network.hosts() if address != own.ip)
    address = next(islice(others, lab.nodes.index(node), None))
    network = StaticNetwork(node.mac, f"{address}/{own.network.prefixlen}")
    return msgspec.structs.replace(spec, bmc=lab.redfish(node), network=network)


def _spec(node: state.Node) -> NodeSpec:
    bmc = node.bmc
    return NodeSpec(
        node.name,
        UUID(node.uuid),
        node.mac,
        IpmiAccess(bmc.address, bmc.port, bmc.username, bmc.password),
        node.console,
        processor=node.processor,
        firmware=node.firmware,
    )
