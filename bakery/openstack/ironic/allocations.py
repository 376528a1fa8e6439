"""Nodes that Ironic chooses: an allocation for each, by resource class and traits.

Ironic takes an available node that nobody else has, in one step, and notes whose it is; it forgets
the allocation when the instance is taken away again. An allocation has a name, so the same
request again finds the nodes it was given before. Source: Bare Metal API v1, Allocations.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.records import NodeThere
from bakery.openstack.ironic.session import FAILED_TRIES, LOCKED

POLL_SECONDS = 0.5


class AllocationRequest(msgspec.Struct, frozen=True):
    """`count` nodes of a resource class that have all these traits, known as NAME-1, NAME-2 …"""

    name: str
    resource_class: str
    traits: tuple[str, ...] = ()
    count: int = 1

    @property
    def names(self) -> list[str]:
        """The allocations' names."""
        return [f"{self.name}-{number}" for number in range(1, self.count + 1)]


def allocated(
    ironic: Ironic,
    request: AllocationRequest,
    usable: Callable[[NodeThere], bool],
    report: Report,
    timeout_seconds: float,
) -> list[NodeThere]:
    """The nodes for a request, all or none: those it has already, and `usable` others.

    BakeryError, with Ironic's reason, where it has too few; what this call took is free again.
    """
    mine: list[str] = []
    with report.step("allocate", f"{request.count} of {request.resource_class}") as step:
        try:
            uuids = _chosen(ironic, request, usable, mine, timeout_seconds)
        except BaseException:
            for name in mine:
                ironic.delete_allocation(name)
            raise
        nodes = [ironic.get(uuid) for uuid in uuids]
        step.summary(", ".join(node.label for node in nodes))
    return nodes


class _NoNode(BakeryError):
    """Ironic has ended an allocation without a node."""


def _chosen(
    ironic: Ironic,
    request: AllocationRequest,
    usable: Callable[[NodeThere], bool],
    mine: list[str],
    timeout_seconds: float,
) -> list[str]:
    """The uuids of the nodes; the names of what was asked for go into `mine`.

    Ironic's threads may keep each other out of a database of one file. It then gives an allocation
    up for good, and another one may well come through.
    """
    end = time.monotonic() + timeout_seconds
    tries = 0
    while True:
        _ask(ironic, request, usable, mine)
        try:
            return _granted(ironic, request.names, end)
        except _NoNode as error:
            tries += 1
            if tries == FAILED_TRIES or LOCKED not in error.message:
                raise
        time.sleep(POLL_SECONDS)


def _ask(
    ironic: Ironic, request: AllocationRequest, usable: Callable[[NodeThere], bool], mine: list[str]
) -> None:
    """Ask for what is not there yet; the names go into `mine` as they are asked for."""
    lacking = []
    for name in request.names:
        found = ironic.allocation(name)
        if found is not None and found.state == "error":
            ironic.delete_allocation(name)
            found = None
        if found is None:
            lacking.append(name)
    if not lacking:
        return
    candidates = [node.uuid for node in ironic.nodes() if _may(node, request) and usable(node)]
    if len(candidates) < len(lacking):
        traits = f" with {', '.join(request.traits)}" if request.traits else ""
        raise BakeryError(
            f"{len(lacking)} nodes of {request.resource_class}{traits} are wanted, but "
            f"{len(candidates)} are available that can take the image",
            "bakery nodes list shows their states",
        )
    for name in lacking:
        mine.append(name)
        ironic.allocate(name, request.resource_class, request.traits, candidates)


def _may(node: NodeThere, request: AllocationRequest) -> bool:
    """Whether Ironic could give the node away for this; it has to know its power state."""
    fields = node.fields
    free = fields.get("provision_state") == "available" and not fields.get("instance_uuid")
    free = free and bool(fields.get("power_state"))
    same = fields.get("resource_class") == request.resource_class
    return free and same and set(request.traits) <= set(node.traits)


def _granted(ironic: Ironic, names: Sequence[str], end: float) -> list[str]:
    """The uuids of the nodes, in the order of the names."""
    nodes: dict[str, str] = {}
    while len(nodes) < len(names):
        for name in names:
            found = ironic.allocation(name)
            if found is None or found.state == "error":
                why = found.last_error if found else "it is gone"
                raise _NoNode(f"Ironic gives no node to {name}: {why}")
            if found.state == "active":
                nodes[name] = found.node_uuid
        if len(nodes) < len(names):
            if time.monotonic() >= end:
                raise BakeryError("Ironic did not choose nodes in time", "--timeout SECONDS")
            time.sleep(POLL_SECONDS)
    return [nodes[name] for name in names]
