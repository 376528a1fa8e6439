"""A file of nodes, all of it checked: Ironic's own shape, or TripleO's.

Source of the shape: `openstack baremetal create` (python-ironicclient, v1/create_resources.py):
`nodes:`, a list; in a node what Ironic's API takes, and `ports:`, nested. `traits:` is read too,
which that client has no word for. Its `chassis:` and `portgroups:` are refused by name.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bakery.openstack.ironic import checks, document, instackenv, passwords
from bakery.openstack.ironic.fields import MERGED, NODE, PORT
from bakery.openstack.ironic.lines import Lines
from bakery.openstack.ironic.problems import Problems, Spot, meant
from bakery.openstack.ironic.records import Node, Port

TOP = ("nodes", "chassis")
OWN = ("ports", "traits", "portgroups")
# What tells a BMC's machine from others. Several systems may share the BMC of a chassis.
BMC = {
    "ipmi": ("ipmi_address", "ipmi_port", "ipmi_target_address", "ipmi_target_channel"),
    "redfish": ("redfish_address", "redfish_system_id"),
}


class Fleet(msgspec.Struct, frozen=True):
    """The nodes of a file, what is wrong with it, and at which lines that is."""

    nodes: tuple[Node, ...]
    problems: Problems
    lines: Lines = Lines("")


def read(path: Path) -> Fleet:
    """The nodes that a file describes. Raises document.Unreadable where it cannot be read.

    What it wants from the environment, from files and commands is not looked up
    (passwords.filled).
    """
    tree, text = document.load(path)
    return msgspec.structs.replace(parse(tree), lines=Lines(text))


def parse(tree: object) -> Fleet:
    """The nodes that a tree describes; TripleO's may be the list alone."""
    problems = Problems()
    top = Spot(problems)
    entries = _entries(top, tree)
    nodes = []
    for index, entry in enumerate(entries):
        label = f"nodes[{index}]"
        if not isinstance(entry, dict):
            top.at("nodes").at(index).wrong(f"must be a mapping, not {checks.kind_of(entry)}")
            continue
        called = entry.get("name")
        if isinstance(called, str) and checks.NAME.fullmatch(called):
            label += f" ({called})"
        spot = Spot(problems, label)
        if instackenv.MARK in entry:
            entry = instackenv.translated(spot, entry)  # noqa: PLW2901 - the same, in other words
        if entry:
            nodes.append(_node(spot, entry))
    _compare(problems, nodes)
    return Fleet(tuple(nodes), problems)


def _entries(top: Spot, tree: object) -> list[object]:
    if isinstance(tree, list):
        return tree
    found = checks.mapping(top, tree)
    for key in found:
        if key == "chassis":
            top.at(key).wrong("bakery does not enroll chassis: list their nodes under nodes:")
        elif key not in TOP:
            top.at(key).wrong(f"is unknown; {meant(key, TOP[:1])}")
    if "nodes" not in found:
        if isinstance(tree, dict):
            top.wrong("it has no nodes:")
        return []
    return checks.sequence(top.at("nodes"), found["nodes"])


def _node(spot: Spot, entry: Mapping[str, object]) -> Node:
    fields: dict[str, object] = {}
    mappings: dict[str, dict[str, object]] = {}
    for key, value in entry.items():
        here = spot.at(key)
        if key == "portgroups":
            here.wrong(
                "bakery does not enroll port groups: leave them out, or make them with Ironic's"
            )
        elif key in MERGED:
            mappings[key] = checks.mapping(here, value)
        elif key in NODE:
            found = _field(here, key, value)
            fields |= {key: found} if found is not None else {}
        elif key not in OWN:
            here.wrong(f"is unknown; {meant(key, (*NODE, *OWN))}")
    if "driver" not in entry:
        spot.at("driver").wrong("is missing")
    details = dict(mappings.get("driver_info", {}))
    password = passwords.taken(spot.at("driver_info"), entry.get("driver"), details)
    checks.driver_info(spot.at("driver_info"), details)
    passwords.variables(spot.at("driver_info"), details)
    mappings |= {"driver_info": details} if "driver_info" in mappings else {}
    capabilities = _properties(spot.at("properties"), mappings)
    node = Node(
        label=spot.node,
        name=str(fields.pop("name", "")),
        uuid=str(fields.pop("uuid", "")),
        fields={"driver": ""} | fields,
        mappings=mappings,
        capabilities=capabilities,
        traits=checks.traits(spot.at("traits"), entry["traits"]) if "traits" in entry else None,
        ports=_ports(spot.at("ports"), entry.get("ports", [])),
        password=password,
    )
    if not {"name", "uuid", "ports"} & set(entry):
        spot.wrong("needs a name or a port, by which it is found again")
    return node


def _field(spot: Spot, key: str, value: object) -> object:
    if key == "name":
        return checks.name(spot, value)
    if key == "resource_class":
        return checks.resource_class(spot, value)
    found = checks.field(spot, value, NODE[key])
    # Ironic keeps it in lower case (node.py, _update_changed_fields).
    return found.lower() if key == "conductor_group" and isinstance(found, str) else found


def _properties(spot: Spot, mappings: dict[str, dict[str, object]]) -> dict[str, str]:
    """Check `properties`, make its numbers numbers, and take the capabilities out of it."""
    if "properties" not in mappings:
        return {}
    properties: dict[str, object] = {}
    capabilities: dict[str, str] = {}
    for key, value in mappings["properties"].items():
        here = spot.at(key)
        if key == "capabilities":
            capabilities = checks.capabilities(here, value)
        elif key == "root_device":
            properties[key] = checks.root_device(here, value)
        elif key in checks.NUMBERS:
            properties[key] = checks.number(here, value)
        elif isinstance(value, str) or value is None:
            properties[key] = checks.text(here, value)
        else:
            properties[key] = value
    mappings["properties"] = properties
    return capabilities


def _ports(spot: Spot, value: object) -> tuple[Port, ...]:
    found = []
    for index, entry in enumerate(checks.sequence(spot, value)):
        port = _port(spot.at(index), entry)
        if port is not None:
            found.append(port)
    return tuple(found)


def _port(spot: Spot, entry: object) -> Port | None:
    fields: dict[str, object] = {}
    address = None
    for key, value in checks.mapping(spot, entry).items():
        here = spot.at(key)
        if key == "address":
            address = checks.mac(here, value)
        elif key == "name":
            fields[key] = checks.name(here, value)
        elif key == "local_link_connection":
            fields[key] = checks.local_link(here, value)
        elif key in PORT:
            fields[key] = checks.field(here, value, PORT[key])
        else:
            here.wrong(f"is unknown; {meant(key, PORT)}")
    if isinstance(entry, dict) and "address" not in entry:
        spot.at("address").wrong("is missing")
    return Port(address, fields) if address else None


def _compare(problems: Problems, nodes: list[Node]) -> None:
    """What only one node can have, and two have."""
    seen: dict[tuple[object, ...], Node] = {}
    for node in nodes:
        spot = Spot(problems, node.label)
        own: set[tuple[object, ...]] = set()
        for field, value in _unique(node):
            other = seen.setdefault((field.partition("[")[0], value), node)
            if other is not node:
                spot.at(field).wrong(f"{_words(value)} is also that of {other.label}")
            elif (field.partition("[")[0], value) in own:
                spot.at(field).wrong(f"{_words(value)} appears twice")
            own.add((field.partition("[")[0], value))
    _compare_systems(problems, nodes)


def _compare_systems(problems: Problems, nodes: list[Node]) -> None:
    """Of a BMC that several nodes share, each has to name its own system."""
    sharing: dict[str, list[tuple[str, Node]]] = {}
    for node in nodes:
        details = node.mappings.get("driver_info", {})
        if node.driver == "redfish" and details.get("redfish_address"):
            address = _same("redfish_address", str(details["redfish_address"]))
            system = _same("redfish_system_id", str(details.get("redfish_system_id", "")))
            sharing.setdefault(address, []).append((system, node))
    for found in sharing.values():
        systems = {system for system, _ in found}
        for system, node in found:
            if not system and len(systems) > 1:
                spot = Spot(problems, node.label).at("driver_info").at("redfish_system_id")
                other = next(other for its, other in found if its)
                spot.wrong(f"is missing, and {other.label} has the same BMC")


def _unique(node: Node) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [("name", node.name)] if node.name else []
    found += [("uuid", node.uuid)] if node.uuid else []
    found += [(f"ports[{index}]", port.address) for index, port in enumerate(node.ports)]
    details = node.mappings.get("driver_info", {})
    keys = BMC.get(node.driver, ())
    if keys and details.get(keys[0]):
        place = tuple(_same(key, str(details.get(key, ""))) for key in keys)
        found.append((f"driver_info.{keys[0]}", place))
    return found


def _same(key: str, text: str) -> str:
    """What stands for all the ways to write one place: Ironic fills in the port and the scheme."""
    if key == "ipmi_port":
        return "" if text == "623" else text
    if key == "redfish_address":
        return text.lower().removeprefix("https://").rstrip("/").removesuffix(":443")
    if key == "redfish_system_id":
        return text.rstrip("/")
    return text.lower() if key.endswith("_address") else text


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(part for part in value if part)
    return str(value)
