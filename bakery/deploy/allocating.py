"""Nodes that Ironic chooses: an allocation for each, by resource class and traits.

Ironic takes an available node that nobody else has, in one step, and notes whose it is; it forgets
the allocation when the instance is taken away again. An allocation has a name, so the same
request again finds the nodes it was given before. Source: Bare Metal API v1, Allocations.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from bakery.cloud.ironic import FAILED_TRIES, LOCKED, Ironic
from bakery.errors import BakeryError
from bakery.fleet.records import NodeThere
from bakery.report import Report

POLL_SECONDS = 0.5


class Wish(msgspec.Struct, frozen=True):
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
    wish: Wish,
    fits: Callable[[NodeThere], bool],
    report: Report,
    timeout_seconds: float,
) -> list[NodeThere]:
    """The nodes of a wish, all or none: those it has already, and others that `fits` is true for.

    BakeryError, with Ironic's reason, where it has not so many; what this call took is free again.
    """
    mine: list[str] = []
    with report.step("allocate", f"{wish.count} of {wish.resource_class}") as step:
        try:
            uuids = _chosen(ironic, wish, fits, mine, timeout_seconds)
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
    wish: Wish,
    fits: Callable[[NodeThere], bool],
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
        _request(ironic, wish, fits, mine)
        try:
            return _granted(ironic, wish.names, end)
        except _NoNode as error:
            tries += 1
            if tries == FAILED_TRIES or LOCKED not in error.message:
                raise
        time.sleep(POLL_SECONDS)


def _request(
    ironic: Ironic, wish: Wish, fits: Callable[[NodeThere], bool], mine: list[str]
) -> None:
    """Ask for what is not there yet; the names go into `mine` as they are asked for."""
    lacking = []
    for name in wish.names:
        found = ironic.allocation(name)
        if found is not None and found.state == "error":
            ironic.delete_allocation(name)
            found = None
        if found is None:
            lacking.append(name)
    if not lacking:
        return
    candidates = [node.uuid for node in ironic.nodes() if _may(node, wish) and fits(node)]
    if len(candidates) < len(lacking):
        traits = f" with {', '.join(wish.traits)}" if wish.traits else ""
        raise BakeryError(
            f"{len(lacking)} nodes of {wish.resource_class}{traits} are wanted, and "
            f"{len(candidates)} are available that can take the image",
            "bakery nodes list shows their states",
        )
    for name in lacking:
        mine.append(name)
        ironic.allocate(name, wish.resource_class, wish.traits, candidates)


def _may(node: NodeThere, wish: Wish) -> bool:
    """Whether Ironic could give the node away for this; it has to know its power state."""
    fields = node.fields
    free = fields.get("provision_state") == "available" and not fields.get("instance_uuid")
    free = free and bool(fields.get("power_state"))
    same = fields.get("resource_class") == wish.resource_class
    return free and same and set(wish.traits) <= set(node.traits)


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
                raise BakeryError("Ironic has not chosen nodes in time", "--timeout SECONDS")
            time.sleep(POLL_SECONDS)
    return [nodes[name] for name in names]
