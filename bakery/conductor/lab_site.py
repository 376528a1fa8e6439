"""A lab as a place of nodes, by the record that its keeper writes."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from bakery.bmc.access import IpmiAccess
from bakery.conductor.messages import NodeSpec
from bakery.conductor.site import Site
from bakery.lab import state


def of_lab(folder: Path, names: Sequence[str]) -> Site:
    """The named nodes of the lab in `folder`, each once; BakeryError where one is not there."""
    lab = state.load(folder)
    nodes = {node.name: node for node in map(lab.node, names)}
    return Site(
        nodes=tuple(map(_spec, nodes.values())),
        interface=lab.interface,
        address=lab.address,
        journals=journals_of(folder),
        enter=lab.enter,
    )


def journals_of(folder: Path) -> Path:
    """Where what is known of a lab's deploys is kept, beside its own folder."""
    return folder.with_name(f"{folder.name}-deploys")


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
