"""What makes a cloud's nodes those of a file: found by comparing, with nothing asked or changed.

A node is found again by its uuid, its name, or a MAC. What the file does not speak of stays as it
is: fields, keys of `properties`, `driver_info`, `extra` and `instance_info`, capabilities, ports.
Traits are a whole: where a file names some, they are what the node has.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from uuid import UUID, uuid5

import msgspec

from bakery.openstack.ironic import checks
from bakery.openstack.ironic.problems import Problems, Spot
from bakery.openstack.ironic.records import Node, NodeThere, Port, PortThere

MASK = "******"
"""What Ironic shows in place of a password (oslo.utils, strutils.mask_dict_password)."""
NAMESPACE = UUID("5b1f2bc6-5f7e-4d0a-9c35-3a8b6f0f4c11")
SHOWN_MAPPINGS = ("properties",)

Patch = list[dict[str, object]]


class Change(msgspec.Struct, frozen=True):
    """A field that becomes another; `was` and `now` are empty where values are not for showing."""

    field: str
    was: object = None
    now: object = None


class PortWork(msgspec.Struct, frozen=True):
    """A port to create (no uuid), or to patch."""

    port: Port
    uuid: str = ""
    patch: Patch = []


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done for one node: created where it has no uuid in the cloud yet."""

    node: Node
    there: str = ""
    action: Literal["create", "update", "none"]
    patch: Patch = []
    traits: tuple[str, ...] | None = None
    ports: tuple[PortWork, ...] = ()
    changes: tuple[Change, ...] = ()


class Present:
    """What a cloud has, found by uuid, by name and by MAC."""

    def __init__(self, nodes: Iterable[NodeThere], ports: Iterable[PortThere]) -> None:
        self.nodes = {node.uuid: node for node in nodes}
        self.names = {node.name: node for node in self.nodes.values() if node.name}
        self.ports = {port.address.lower(): port for port in ports}


def compare(wanted: Sequence[Node], present: Present, *, secrets: bool = False) -> list[Work]:
    """The work for each wanted node, in their order; see `matches` for what it must be called on.

    With `secrets`, passwords are sent although the cloud does not tell which it has.
    """
    return [of_node(node, _there(node, present), present, secrets=secrets) for node in wanted]


def matches(problems: Problems, wanted: Sequence[Node], present: Present) -> None:
    """Say where a name, a uuid or a MAC belongs to another node of the cloud already."""
    taken: dict[str, Node] = {}
    for node in wanted:
        spot = Spot(problems, node.label)
        there = _there(node, present)
        by_name = present.names.get(node.name) if node.name else None
        if by_name is not None and there is not None and by_name.uuid != there.uuid:
            spot.at("name").wrong(f"the cloud's node {by_name.uuid} has this name")
        if there is not None and node.name and there.name not in ("", node.name):
            spot.at("uuid").wrong(f"the cloud's node of this uuid is called {there.name!r}")
        _macs(spot, node, there, present)
        if there is not None:
            other = taken.setdefault(there.uuid, node)
            if other is not node:
                spot.wrong(f"is the same node of the cloud as {other.label}: {there.label}")


def _macs(spot: Spot, node: Node, there: NodeThere | None, present: Present) -> None:
    for index, port in enumerate(node.ports):
        found = present.ports.get(port.address)
        if found is None or (there is not None and found.node_uuid == there.uuid):
            continue
        owner = present.nodes.get(found.node_uuid)
        label = repr(owner.label) if owner else f"{found.node_uuid}, which we may not see"
        spot.at("ports").at(index).at("address").wrong(
            f"{port.address} is a port of another node of the cloud: {label}"
        )


def _there(node: Node, present: Present) -> NodeThere | None:
    """The cloud's node that this one is: by uuid, by name, or a nameless one by a MAC."""
    if node.uuid in present.nodes:
        return present.nodes[node.uuid]
    if node.name in present.names:
        return present.names[node.name]
    for port in node.ports:
        owner = present.ports.get(port.address)
        found = present.nodes.get(owner.node_uuid) if owner else None
        if found is not None and (not node.name or not found.name):
            return found
    return None if node.name or node.uuid else present.nodes.get(own_uuid(node))


def own_uuid(node: Node) -> str:
    """The uuid of a node that the file gives no name: made of its first MAC.

    A run that is killed between node and port would not find it again otherwise.
    """
    return str(uuid5(NAMESPACE, min(port.address for port in node.ports)))


def of_node(
    node: Node, there: NodeThere | None, present: Present, *, secrets: bool = False
) -> Work:
    """The work for one node, which the cloud has as `there`, or not."""
    ports = tuple(_ports(node, there, present))
    if there is None:
        traits = node.traits or None
        return Work(node=node, action="create", traits=traits, ports=ports)
    parent = present.names.get(str(node.fields.get("parent_node", "")))
    fields = node.fields | ({"name": node.name} if node.name else {})
    fields |= {"parent_node": parent.uuid} if parent else {}  # Ironic keeps it so
    patch, changes = _patch(fields, _mappings(node, there), there, secrets=secrets)
    traits = None
    if node.traits is not None and node.traits != tuple(sorted(there.traits)):
        traits = node.traits
        changes.append(Change("traits", list(there.traits), list(traits)))
    changes += [Change("ports", now=work.port.address) for work in ports]
    return Work(
        node=node,
        there=there.uuid,
        action="update" if changes else "none",
        patch=patch,
        traits=traits,
        ports=ports,
        changes=tuple(changes),
    )


def body(node: Node) -> dict[str, object]:
    """The request that creates a node; what it cannot say (ports, traits) follows."""
    found: dict[str, object] = {**node.fields}
    found |= {key: dict(values) for key, values in node.mappings.items()}
    if node.capabilities:
        properties = dict(node.mappings.get("properties", {}))
        found["properties"] = properties | {"capabilities": joined(node.capabilities)}
    found |= {"name": node.name} if node.name else {}
    if node.uuid or not node.name:
        found["uuid"] = node.uuid or own_uuid(node)
    return found


def joined(capabilities: Mapping[str, str]) -> str:
    """Capabilities as Ironic keeps them."""
    return ",".join(f"{key}:{value}" for key, value in sorted(capabilities.items()))


def split(text: object) -> dict[str, str]:
    """Capabilities out of Ironic; those that are malformed are left out, as Ironic does."""
    pairs = (part.split(":") for part in str(text or "").split(","))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}


def _patch(
    fields: Mapping[str, object],
    mappings: Mapping[str, Mapping[str, object]],
    there: NodeThere,
    *,
    secrets: bool,
) -> tuple[Patch, list[Change]]:
    """A JSON patch (RFC 6902) for what differs, and the same for showing."""
    patch: Patch = []
    changes: list[Change] = []
    for key, now in fields.items():
        was = there.fields.get(key)
        if was != now:
            patch.append(put(now, key))
            hidden = isinstance(now, dict)
            changes.append(Change(key) if hidden else Change(key, was, now))
    for key, values in mappings.items():
        was_all = there.fields.get(key)
        was_all = was_all if isinstance(was_all, dict) else {}
        for inner, now in values.items():
            was = was_all.get(inner)
            if inner in was_all and _same(inner, was, now, secrets=secrets):
                continue
            patch.append(put(now, key, inner))
            path = f"{key}.{inner}"
            changes.append(Change(path, was, now) if key in SHOWN_MAPPINGS else Change(path))
    return patch, changes


def _mappings(node: Node, there: NodeThere) -> Mapping[str, Mapping[str, object]]:
    """The mappings of a node, with all capabilities there are as one of the properties."""
    if not node.capabilities:
        return node.mappings
    properties = there.fields.get("properties")
    has = split(properties.get("capabilities")) if isinstance(properties, dict) else {}
    text = joined(has | node.capabilities)
    if joined(has) == text and isinstance(properties, dict):
        text = str(properties["capabilities"])  # another order is no change
    return node.mappings | {
        "properties": node.mappings.get("properties", {}) | {"capabilities": text}
    }


def _same(key: str, was: object, now: object, *, secrets: bool) -> bool:
    if was == MASK:
        return not secrets
    if key in checks.NUMBERS:
        return str(was) == str(now)  # TripleO and inspection write them as text
    # In Python 1 == True, and in Ironic it is another value.
    return was == now and isinstance(was, bool) == isinstance(now, bool)


def put(value: object, *path: str) -> dict[str, object]:
    """The part of a patch that makes the field at `path` be `value`.

    `add` also replaces what is there (RFC 6902, 4.1).
    """
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    return {"op": "add", "path": pointer, "value": value}


def _ports(node: Node, there: NodeThere | None, present: Present) -> Iterable[PortWork]:
    """The ports that are missing, and those that differ. Another node's is never touched."""
    for port in node.ports:
        found = present.ports.get(port.address)
        if found is None or there is None or found.node_uuid != there.uuid:
            yield PortWork(port)
            continue
        patch = []
        for key, now in port.fields.items():
            was = found.fields.get(key)
            whole = was | now if isinstance(was, dict) and isinstance(now, dict) else now
            if key != "uuid" and was != whole:
                patch.append(put(whole, key))
        if patch:
            yield PortWork(port, found.uuid, patch)
