"""The work for nodes, done: several nodes at a time, each by its own few requests.

A node is created first, then its traits and its ports. What a killed run left is what the next
run starts from.
"""

from collections.abc import Sequence
from concurrent.futures import as_completed
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.openstack.connection import CloudError
from bakery.openstack.ironic import changes, checks, known
from bakery.openstack.ironic.changes import Change, Present, Work
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.nodes_file import Fleet
from bakery.openstack.ironic.records import Node

HIDDEN = "***"
SHORTEST_HIDDEN = 3
"""A secret of fewer letters would take half of a message along."""

Action = Literal["created", "updated", "unchanged", "failed"]
DONE: dict[str, Action] = {"create": "created", "update": "updated", "none": "unchanged"}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a node of the file."""

    name: str
    uuid: str = ""
    action: Action
    changes: tuple[Change, ...] = ()
    error: str = ""
    provision_state: str = ""


def prepared(ironic: Ironic, fleet: Fleet, *, secrets: bool) -> tuple[list[Work], bool]:
    """The work that a file means on this cloud, and whether drivers could be checked.

    What the cloud would refuse is added to the file's problems; then the work is not to be done.
    Only looks.
    """
    present = Present(ironic.nodes(), ironic.ports())
    drivers = ironic.drivers({node.driver for node in fleet.nodes})
    known.versions(fleet.problems, fleet.nodes, ironic.minor)
    if drivers is not None:
        known.drivers(fleet.problems, fleet.nodes, drivers)
    changes.matches(fleet.problems, fleet.nodes, present)
    if fleet.problems:
        return [], drivers is not None
    return changes.compare(fleet.nodes, present, secrets=secrets), drivers is not None


def apply(ironic: Ironic, works: Sequence[Work], concurrency: int, step: Step) -> list[Result]:
    """Do what is to be done; a node that fails keeps no other from being enrolled."""
    results: dict[int, Result] = {
        index: _result(work, work.there, "unchanged")
        for index, work in enumerate(works)
        if work.action == "none"
    }
    due = [index for index in range(len(works)) if index not in results]
    # A node that is part of another one needs that one first.
    for children in (False, True):
        batch = [i for i in due if ("parent_node" in works[i].node.fields) == children]
        results |= _batch(ironic, {i: works[i] for i in batch}, concurrency, step)
    return [results[index] for index in range(len(works))]


def _batch(
    ironic: Ironic, works: dict[int, Work], concurrency: int, step: Step
) -> dict[int, Result]:
    results: dict[int, Result] = {}
    with ironic.at_once(concurrency) as pool:
        waiting = {pool.submit(_done, ironic, work): index for index, work in works.items()}
        for done in as_completed(waiting):
            results[waiting[done]] = done.result()
            step.emit("progress", f"{len(results)} of {len(works)} nodes")
    return results


def _done(ironic: Ironic, work: Work) -> Result:
    uuid = work.there
    try:
        if work.action == "create":
            there, new = ironic.create_node(changes.body(work.node))
            uuid = there.uuid
            if not new:
                present = Present([there], ironic.ports_of(p.address for p in work.node.ports))
                work = changes.of_node(work.node, there, present)
        _change(ironic, uuid, work)
    except CloudError as error:
        return _result(work, uuid, "failed", _without_secrets(error, work.node))
    return _result(work, uuid, DONE[work.action])


def _change(ironic: Ironic, uuid: str, work: Work) -> None:
    """All but the creation of a node."""
    if work.patch:
        ironic.patch_node(uuid, work.patch)
    if work.traits is not None:
        ironic.set_traits(uuid, work.traits)
    for one in work.ports:
        if one.uuid:
            ironic.patch_port(one.uuid, one.patch)
        else:
            ironic.create_port(uuid, one.port.address, one.port.fields)


def _result(work: Work, uuid: str, action: Action, error: str = "") -> Result:
    name = work.node.name or uuid or work.node.label
    return Result(name=name, uuid=uuid, action=action, changes=work.changes, error=error)


def _without_secrets(error: BakeryError, node: Node) -> str:
    """What the cloud says; it may repeat what it was sent."""
    text = error.message
    for key, value in node.mappings.get("driver_info", {}).items():
        if checks.is_secret(key) and isinstance(value, str) and len(value) >= SHORTEST_HIDDEN:
            text = text.replace(value, HIDDEN)
    return text
