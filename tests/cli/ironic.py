"""An Ironic in memory, for what the commands themselves do; the real one is in tests/e2e."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.ironic.records import Driver, NodeThere, PortThere


class MemoryIronic:
    """Answers as bakery.openstack.ironic.client.Ironic does; `asked` are the changes it was told.

    A node named in `failing` refuses every change.
    """

    minor = 95

    def __init__(self, *nodes: NodeThere, ports: tuple[PortThere, ...] = ()) -> None:
        self.all = {node.uuid: node for node in nodes}
        self.cards = list(ports)
        self.asked: list[tuple[Any, ...]] = []
        self.failing: set[str] = set()
        self.lists_drivers = True
        self.workers = 0
        self.clouds: list[str | None] = []

    def states(self) -> list[NodeThere]:
        return list(self.all.values())

    nodes = states

    def ports(self) -> list[PortThere]:
        return self.cards

    def ports_on(self, node: NodeThere) -> list[PortThere]:
        return [port for port in self.cards if port.node_uuid == node.uuid]

    def drivers(self, used: set[str]) -> dict[str, Driver] | None:
        return {name: Driver(name) for name in used} if self.lists_drivers else None

    def get(self, ident: str) -> NodeThere:
        for node in self.all.values():
            if ident in (node.name, node.uuid):
                return node
        raise CloudError(f"no node is called {ident!r}", "", 404)

    @contextlib.contextmanager
    def at_once(self, workers: int) -> Iterator[ThreadPoolExecutor]:
        self.workers = workers
        with ThreadPoolExecutor(workers) as pool:
            yield pool

    def change(self, ident: str, **fields: object) -> None:
        node = self.get(ident)
        new = dict(node.fields) | fields
        self.all[node.uuid] = msgspec.structs.replace(node, fields=new)

    def create_node(self, body: dict[str, Any]) -> tuple[NodeThere, bool]:
        if body["name"] in self.failing:
            raise CloudError(f"no room for {body['name']}")
        made = NodeThere(uuid=f"uuid-{body['name']}", name=body["name"], fields=body)
        self.all[made.uuid] = made
        self.change(made.uuid, provision_state="enroll")
        self.asked.append(("create", made.name))
        return made, True

    def patch_node(self, node: str, patch: object) -> None:
        self.asked.append(("patch", node, patch))

    def set_traits(self, node: str, traits: object) -> None:
        self.asked.append(("traits", node, traits))

    def create_port(self, node: str, address: str, fields: object) -> None:
        self.asked.append(("port", node, address))

    def provision(self, node: str, verb: str) -> None:
        self.asked.append((verb, node))
        self.change(node, provision_state={"manage": "manageable", "provide": "available"}[verb])

    def power(self, node: str, target: str) -> None:
        self.asked.append((target, node))
        self.change(node, power_state="power off" if target == "power off" else "power on")

    def boot_devices(self, node: str) -> list[str]:
        return ["cdrom", "disk", "pxe"]

    def set_boot_device(self, node: str, device: str, *, persistent: bool) -> None:
        self.asked.append(("boot", node, device, persistent))


def cloud_of(monkeypatch: pytest.MonkeyPatch, ironic: MemoryIronic) -> list[str | None]:
    """Have commands meet it; which clouds were asked for."""
    clouds: list[str | None] = []

    def of_cloud(cloud: str | None) -> MemoryIronic:
        clouds.append(cloud)
        return ironic

    monkeypatch.setattr("bakery.openstack.ironic.client.Ironic.of_cloud", of_cloud)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return clouds
