"""The bare metal service, as bakery uses it. Nothing else in the package talks to Ironic.

Bare Metal API v1 (https://docs.openstack.org/api-ref/baremetal/). A node or a port that was created
and not confirmed is looked for.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import quote

from bakery.host.pool import Pool
from bakery.openstack.connection import CloudError, connect, plain
from bakery.openstack.ironic import answers
from bakery.openstack.ironic.changes import Patch
from bakery.openstack.ironic.fields import NODE
from bakery.openstack.ironic.problems import nearest
from bakery.openstack.ironic.records import Allocation, Driver, NodeThere, PortThere
from bakery.openstack.ironic.session import SCOPE, Session, said

if TYPE_CHECKING:
    from openstack.connection import Connection

INVENTORY_SINCE = 81
# Of a node: what lists of nodes show, and what provisioning looks at.
STATE_FIELDS = (
    "uuid", "name", "driver", "resource_class", "provision_state", "power_state", "maintenance",
    "last_error", "inspection_finished_at",
)  # fmt: skip


class Ironic:
    """The nodes of one cloud. Every method raises CloudError for what goes wrong."""

    def __init__(self, connection: "Connection") -> None:
        self.session = Session(connection)

    @property
    def minor(self) -> int:
        """The version of its API that is spoken, 1.N."""
        return self.session.minor

    def at_once(self, workers: int) -> AbstractContextManager[Pool]:
        """Threads that speak to it side by side; see Session.at_once."""
        return self.session.at_once(workers)

    @classmethod
    def of_cloud(cls, cloud: str | None) -> "Ironic":
        """Log in to `cloud`, None being what the environment names."""
        return cls(connect(cloud))

    def nodes(self) -> list[NodeThere]:
        """Every node that we can see, with all that a file can say of it."""
        return self._nodes("nodes/detail", {})

    def states(self) -> list[NodeThere]:
        """Every node that we can see, with its states alone."""
        return self._nodes("nodes", {"fields": ",".join(STATE_FIELDS)})

    def ports(self) -> list[PortThere]:
        """Every port that we can see."""
        return self._ports({})

    def ports_of(self, addresses: Iterable[str]) -> list[PortThere]:
        """The ports of these MACs."""
        return [port for address in addresses for port in self._ports({"address": address})]

    def ports_on(self, node: NodeThere) -> list[PortThere]:
        """The ports of a node."""
        return self._ports({"node": node.uuid})

    def drivers(self, used: Iterable[str]) -> dict[str, Driver] | None:
        """The drivers that the cloud has; of those `used` also the driver_info they know.

        None where we may not ask: that takes a role in the whole system.
        """
        try:
            answer = self.session.ask(
                "GET", "/drivers", "listing drivers", params={"detail": "true"}
            )
        except CloudError as error:
            if error.status == 403 or SCOPE in said(error):
                return None
            raise
        wanted = set(used)
        return {
            name: answers.driver(name, entry, self._driver_info(name) if name in wanted else {})
            for entry in answers.entries(answer, "drivers")
            if (name := str(entry.get("name", "")))
        }

    def find(self, ident: str) -> NodeThere | None:
        """The node of that name or uuid; None where there is none that we may see."""
        answer = self.session.ask("GET", _path(ident), f"looking at the node {ident}", missing=True)
        return None if answer is None else answers.node(answers.mapping(answer))

    def get(self, ident: str) -> NodeThere:
        """The node of that name or uuid; where there is none, a similar name is suggested."""
        found = self.find(ident)
        if found is None:
            known = {node.label for node in self.states()}
            near = nearest(ident, known)
            there = "`bakery nodes list` tells which there are"
            hint = f"did you mean {near!r}?" if near else there
            raise CloudError(f"no node is called {ident!r}", hint, 404)
        return found

    def create_node(self, body: Mapping[str, object]) -> tuple[NodeThere, bool]:
        """A new node, and whether it is new: one of its name or uuid may be there already."""
        ident = str(body.get("name") or body["uuid"])
        what = f"creating the node {ident}"
        answer = self.session.create("/nodes", body, what, lambda: self.find(ident))
        if isinstance(answer, NodeThere):
            return answer, False
        return answers.node(answer), True

    def patch_node(self, node: str, patch: Patch) -> None:
        """Change a node."""
        self.session.ask("PATCH", _path(node), f"updating the node {node}", json=patch)

    def set_traits(self, node: str, traits: Iterable[str]) -> None:
        """These and no others are the node's traits."""
        what = f"setting the traits of the node {node}"
        self.session.ask("PUT", _path(node, "traits"), what, json={"traits": list(traits)})

    def create_port(self, node: str, address: str, fields: Mapping[str, object]) -> None:
        """A new port of a node, which may have it already; refused where it is another's."""

        def found() -> PortThere | None:
            return next(iter(self.ports_of([address])), None)

        body = {**fields, "address": address, "node_uuid": node}
        what = f"creating the port {address}"
        answer = self.session.create("/ports", body, what, found)
        if isinstance(answer, PortThere) and answer.node_uuid != node:
            owner = self.find(answer.node_uuid)
            label = repr(owner.label) if owner else answer.node_uuid
            raise CloudError(f"{address} is a port of another node of the cloud: {label}")

    def patch_port(self, port: str, patch: Patch) -> None:
        """Change a port."""
        path = _path(port, of="ports")
        self.session.ask("PATCH", path, f"updating the port {port}", json=patch)

    def provision(self, node: str, verb: str, config_drive: str = "") -> None:
        """Send a node on its way to another provision state (`manage`, `active`, `deleted` …).

        `config_drive` goes with `active`: an image, gzipped and in base64.
        """
        body = {"target": verb} | ({"configdrive": config_drive} if config_drive else {})
        self.session.ask(
            "PUT", _path(node, "states/provision"), f"{verb} of the node {node}", json=body
        )

    def faults(self, node: str, interfaces: Iterable[str]) -> dict[str, str]:
        """What Ironic finds lacking for a deploy: interface → reason, of these interfaces."""
        answer = answers.mapping(
            self.session.ask("GET", _path(node, "validate"), f"validating the node {node}")
        )
        told = {name: answer.get(name) for name in interfaces}
        return {
            name: plain(str(found.get("reason")))
            for name, found in told.items()
            if isinstance(found, dict) and found.get("result") is False
        }

    def disks(self, node: str) -> list[dict[str, object]] | None:
        """A node's disks as its inspection found them; None where there was none.

        Each as Ironic's agent tells it: `name`, `size` in bytes, `rotational`, `model`, `vendor`,
        `serial`, `wwn`, `hctl` … (ironic_python_agent, hardware.BlockDevice).
        """
        if self.minor < INVENTORY_SINCE:
            return None
        what = f"looking at the inventory of the node {node}"
        answer = self.session.ask("GET", _path(node, "inventory"), what, missing=True)
        inventory = None if answer is None else answers.mapping(answer).get("inventory")
        return answers.entries(inventory, "disks") if isinstance(inventory, dict) else None

    def allocation(self, name: str) -> Allocation | None:
        """The allocation of that name; None where there is none that we may see."""
        path = _path(name, of="allocations")
        answer = self.session.ask("GET", path, f"looking at the allocation {name}", missing=True)
        return None if answer is None else answers.allocation(answers.mapping(answer))

    def allocate(
        self, name: str, resource_class: str, traits: Iterable[str], candidates: Iterable[str]
    ) -> None:
        """Have a node chosen among candidates (uuids), where that is not under way already."""
        body = {
            "name": name,
            "resource_class": resource_class,
            "traits": list(traits),
            "candidate_nodes": list(candidates),
        }
        what = f"creating the allocation {name}"
        self.session.create("/allocations", body, what, lambda: self.allocation(name))

    def delete_allocation(self, name: str) -> None:
        """Give a node back that nothing was deployed to."""
        path = _path(name, of="allocations")
        self.session.ask("DELETE", path, f"deleting the allocation {name}", missing=True)

    def power(self, node: str, target: str) -> None:
        """Have a node switched: `power on`, `power off` or `rebooting`."""
        what = f"{target} of the node {node}"
        self.session.ask("PUT", _path(node, "states/power"), what, json={"target": target})

    def boot_devices(self, node: str) -> list[str]:
        """What a node can be told to boot from."""
        path = _path(node, "management/boot_device/supported")
        answer = answers.mapping(
            self.session.ask("GET", path, f"asking what the node {node} boots from")
        )
        found = answer.get("supported_boot_devices")
        return [str(device) for device in found] if isinstance(found, list) else []

    def set_boot_device(self, node: str, device: str, *, persistent: bool) -> None:
        """What a node boots from the next time, or each time."""
        body = {"boot_device": device, "persistent": persistent}
        what = f"setting what the node {node} boots from"
        self.session.ask("PUT", _path(node, "management/boot_device"), what, json=body)

    def _driver_info(self, driver: str) -> object:
        """What a driver knows of driver_info, and what each is for; nothing where it cannot say."""
        path = _path(driver, "properties", of="drivers")
        return self.session.ask("GET", path, f"asking the driver {driver}", missing=True) or {}

    def _ports(self, query: Mapping[str, str]) -> list[PortThere]:
        return [answers.port(entry) for entry in self.session.listing("ports/detail", query)]

    def _nodes(self, path: str, query: Mapping[str, str]) -> list[NodeThere]:
        """Those too that are part of another node."""
        children = self.minor >= NODE["parent_node"].since
        asked = {**query, "include_children": "true"} if children else query
        return [answers.node(entry) for entry in self.session.listing(path, asked)]


def _path(ident: str, more: str = "", *, of: str = "nodes") -> str:
    return f"/{of}/{quote(ident, safe='')}" + (f"/{more}" if more else "")
