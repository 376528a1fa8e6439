"""A rack as a place of nodes: a nodes file, and an interface of this machine.

What a deploy needs beyond what `nodes_file` checks is checked here, and told in the same way:
name, ports, a BMC that bakery speaks to, a processor and hints that it knows.
"""

import fnmatch
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import msgspec

from bakery.bmc.access import Access, open_bmc
from bakery.conductor import interface, media, network_data
from bakery.conductor.messages import Card, NodeSpec
from bakery.conductor.site import Site
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.node.agent import hints
from bakery.openstack.ironic import changes, nodes_file, passwords
from bakery.openstack.ironic.nodes_file import Fleet
from bakery.openstack.ironic.problems import Problems, Spot, meant
from bakery.openstack.ironic.records import Node
from bakery.system import architecture

STATE_FOLDER = "bakery/rack"
DRIVERS = ("ipmi", "redfish")
SERIAL = "serial_number"
"""The key of `properties` with the machine's own number, as Ironic's inventory calls it."""
PROCESSORS = frozenset({*architecture.MACHINES.values(), *architecture.ELF_MACHINES.values()})
BRIDGED = frozenset(
    (
        *("ipmi_bridging", "ipmi_target_address", "ipmi_target_channel"),
        *("ipmi_transit_address", "ipmi_transit_channel"),
    )
)
"""By these a BMC is reached through another one (ironic/drivers/modules/ipmitool.py)."""


class Wrong(BakeryError):
    """A nodes file has faults; they are in `fleet`."""

    def __init__(self, file: Path, fleet: Fleet) -> None:
        super().__init__(f"{file} has faults", f"bakery nodes check {file}")
        self.file, self.fleet = file, fleet


def default_state() -> Path:
    """Where what is known of racks' deploys is kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".local/state"
    return home / STATE_FOLDER


def checked(file: Path) -> tuple[Fleet, list[str]]:
    """A nodes file with all its faults, and the names of its nodes that only Ironic deploys.

    Raises document.Unreadable. Nothing outside the file is looked at but its mode, and whether
    the certificates are there that it names.
    """
    fleet = nodes_file.read(file)
    foreign = []
    for node in fleet.nodes:
        if node.driver in DRIVERS:
            _check(Spot(fleet.problems, node.label), node)
        elif node.driver:
            foreign.append(node.name or node.label)
    _check_mode(fleet.problems, fleet.nodes, file)
    return fleet, foreign


def of_file(
    file: Path, wanted: Sequence[str], wire: str, state: Path, *, every: bool = False
) -> Site:
    """The nodes of a file whose names are `wanted`, or match one of these patterns; or `every`.

    Raises Wrong with all the file's faults, and BakeryError where a name fits none of them, or
    `wire`, an interface of this machine, cannot be used.
    """
    fleet, foreign = checked(file)
    if fleet.problems:
        raise Wrong(file, fleet)
    chosen = _chosen(fleet.nodes, wanted, every=every)
    for node in chosen:
        if node.name in foreign:
            raise BakeryError(
                f"{node.name} has the driver {node.driver}, and bakery speaks "
                f"{' and '.join(DRIVERS)} alone",
                "give its BMC by one of these, or deploy it by an Ironic: bakery nodes deploy",
            )
    _refuse_shared(state)
    own = interface.address_of(wire)
    chosen = passwords.filled(fleet.problems, chosen, file)
    for node in chosen:
        _check_bmc(Spot(fleet.problems, node.label, "driver_info"), node)
    if fleet.problems:
        raise Wrong(file, fleet)
    names = {node.name for node in chosen}
    return Site(
        nodes=tuple(map(spec, chosen)),
        interface=wire,
        address=str(own),
        journals=state,
        neighbours={
            port.address: node.name or node.label
            for node in fleet.nodes
            if node.name not in names
            for port in node.ports
        },
        is_real=True,
    )


def _refuse_shared(folder: Path) -> None:
    """BakeryError for a folder that holds other things: journals' folders become their owner's."""
    if folder.is_dir() and folder.stat().st_mode & 0o077 and any(folder.iterdir()):
        raise BakeryError(
            f"{folder} is there, and others use it: journals are kept where only you can look",
            "give --state a folder of its own",
        )


def spec(node: Node) -> NodeSpec:
    """A node that was checked, with its password, as a conductor takes it."""
    boots = [port.address for port in node.ports if _boots(port.fields)]
    others = [Card(mac) for mac in boots[1:]]
    others += [Card(port.address, boots=False) for port in node.ports if not _boots(port.fields)]
    properties = node.mappings.get("properties", {})
    arch = str(properties.get("cpu_arch") or "")
    data = node.fields.get("network_data")
    return NodeSpec(
        node.name,
        uuid_of(node),
        boots[0],
        access(node.driver, node.mappings["driver_info"]),
        processor=architecture.SAME.get(arch.lower(), arch.lower()),
        firmware="bios" if node.capabilities.get("boot_mode") == "bios" else "uefi",
        others=tuple(others),
        serial=str(properties.get(SERIAL) or ""),
        root_device=_hints(properties.get("root_device")),
        network=network_data.network_of(data) if data else None,
    )


def uuid_of(node: Node) -> UUID:
    """The node's own, or one made of its first MAC: what its journal is found again by."""
    return UUID(node.uuid or changes.own_uuid(node))


def access(driver: str, details: Mapping[str, object]) -> Access:
    """How a BMC is reached; BakeryError where driver_info does not tell."""
    try:
        found: Access = msgspec.convert({"type": driver, **details}, Access, strict=False)
    except msgspec.ValidationError as error:
        raise BakeryError(f"cannot be read: {error}") from None
    return found


def _chosen(nodes: Sequence[Node], wanted: Sequence[str], *, every: bool) -> list[Node]:
    """The nodes in the order they are asked for, each once."""
    if every:
        return list(nodes)
    found: dict[str, Node] = {}
    for pattern in wanted:
        fitting = [node for node in nodes if fnmatch.fnmatchcase(node.name, pattern)]
        if not fitting:
            raise BakeryError(
                f"the nodes file has no node {shown(pattern)}",
                meant(pattern, [node.name for node in nodes]),
            )
        found |= {node.name: node for node in fitting}
    return list(found.values())


def _check(spot: Spot, node: Node) -> None:
    if not node.name:
        spot.at("name").wrong("is missing: a node is deployed by its name")
    if not node.ports:
        spot.at("ports").wrong("are missing: a node is known on the network by its MACs")
    elif not any(_boots(port.fields) for port in node.ports):
        spot.at("ports").wrong("no port has pxe_enabled: the node has none to boot by")
    _check_bmc(spot.at("driver_info"), node)
    properties = node.mappings.get("properties", {})
    here = spot.at("properties")
    arch = str(properties.get("cpu_arch") or "").lower()
    if arch and architecture.SAME.get(arch, arch) not in PROCESSORS:
        here.at("cpu_arch").wrong(f"{shown(arch)} is unknown; {meant(arch, PROCESSORS)}")
    serial = properties.get(SERIAL)
    if serial is not None and not isinstance(serial, str):
        here.at(SERIAL).wrong("must be text; write it in quotes")
    data = node.fields.get("network_data")
    if data:
        try:
            media.node_network(network_data.network_of(data))
        except BakeryError as error:
            spot.at("network_data").wrong(error.message)
    wanted = properties.get("root_device")
    known = (*hints.TEXTS, *hints.NUMBERS, hints.FLAG, *hints.ALIASES)
    for key in wanted if isinstance(wanted, dict) else ():
        if key not in known:
            here.at("root_device").at(key).wrong(
                f"bakery's ramdisk does not know it; {meant(key, known)}"
            )


def _check_bmc(spot: Spot, node: Node) -> None:
    """Its address, and all that is refused before a packet is sent."""
    details = node.mappings.get("driver_info", {})
    address = f"{node.driver}_address"
    if not details.get(address):
        spot.at(address).wrong("is missing: the address of its BMC")
        return
    for key in details:
        if key in BRIDGED and str(details[key]).lower() not in ("", "no"):
            spot.at(key).wrong(
                "bakery does not have a BMC pass orders on to another: it would be the outer one's "
                "machine that is switched"
            )
    if any(
        one.place[0] == node.label and one.place[1].startswith(spot.field)
        for one in spot.problems.found
    ):
        return
    told = {key: value for key, value in details.items() if not passwords.is_variable(value)}
    try:
        open_bmc(access(node.driver, {address: "elsewhere"} | told))
    except BakeryError as error:
        spot.wrong(error.message)


def _check_mode(problems: Problems, nodes: Sequence[Node], file: Path) -> None:
    """A password in the file itself is as good as the file's mode."""
    if not any(map(passwords.is_literal, nodes)):
        return
    mode = file.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        Spot(problems).wrong(
            f"holds passwords, and other users can read it: chmod 600 {file}, or keep them "
            "elsewhere (${NAME}, password_file, password_command)"
        )


def _boots(fields: dict[str, object]) -> bool:
    """Ironic takes a port for one to boot by where it does not say otherwise."""
    return fields.get("pxe_enabled") is not False


def _hints(wanted: object) -> str:
    """Hints as the ramdisk takes them, in an order that does not depend on the file's."""
    if not isinstance(wanted, dict):
        return ""
    pairs = sorted((key, str(value)) for key, value in wanted.items())
    return ",".join(f"{key}={quote(value)}" for key, value in pairs)
