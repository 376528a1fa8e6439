"""An Ironic in memory, behind openstacksdk's adapter: what bakery asks for, and what it changes.

The same requests go to a real Ironic in tests/e2e/test_nodes.py and test_deploy_ironic.py.
"""

import json
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import unquote

import pytest

from bakery.openstack.ironic.client import Ironic

PAUSES_LIMIT = 500
# By verb, the states that a node is in at each look after it.
WAYS = {
    "manage": ("verifying", "manageable"),
    "inspect": ("inspecting", "manageable"),
    "provide": ("cleaning", "available"),
    "active": ("deploying", "wait call-back", "active"),
    "deleted": ("deleting", "available"),
}


class Refused(Exception):
    """An answer that is no success: its status and words."""


@dataclass
class Fault:
    """What becomes of requests that `pattern` matches: refused, or done and the answer lost.

    `passes` of them go well first; then it is so many `times`.
    """

    pattern: str
    status: int = 400
    words: str = "no"
    lost: bool = False
    passes: int = 0
    times: int = 1 << 30

    def meets(self, line: str) -> bool:
        if not re.fullmatch(self.pattern, line) or not self.times:
            return False
        self.passes -= 1
        self.times -= self.passes < 0
        return self.passes < 0


@dataclass
class Service:
    """What it holds, by uuid or name, and the requests that came: `METHOD /path`, and the body."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    ports: list[dict[str, Any]] = field(default_factory=list)
    allocations: dict[str, dict[str, Any]] = field(default_factory=dict)
    drivers: dict[str, dict[str, Any]] = field(default_factory=dict)
    inventories: dict[str, Any] = field(default_factory=dict)
    invalid: dict[str, dict[str, Any]] = field(default_factory=dict)
    ways: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(WAYS))
    coming: dict[str, list[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def node(self, uuid: str, **fields: Any) -> None:
        """Have a node, `available` where nothing else is said."""
        usual = {"provision_state": "available", "name": f"n-{uuid}", "traits": []}
        self.nodes[uuid] = {"uuid": uuid, **usual, **fields}

    def asked(self, method: str = "") -> list[str]:
        """The requests that came, or those of a method."""
        return [line for line, _ in self.requests if line.startswith(method)]

    def told(self, pattern: str) -> list[Any]:
        """The bodies of the requests that `pattern` matches."""
        return [body for line, body in self.requests if re.fullmatch(pattern, line)]

    def request(self, path: str, method: str, **more: Any) -> object:
        """As keystoneauth's adapter has it."""
        line = f"{method} {path}"
        self.requests.append((line, more.get("json", more.get("params"))))
        fault = next((fault for fault in self.faults if fault.meets(line)), None)
        try:
            if fault and not fault.lost:
                raise Refused(fault.status, fault.words)
            status, answer = self.answered(method, path.strip("/").split("/"), more)
        except Refused as refusal:
            status, answer = refusal.args[0], {"error_message": refusal.args[1]}
        if fault and fault.lost:
            raise ConnectionResetError("reset")
        content = b"" if answer is None else json.dumps(answer).encode()
        return SimpleNamespace(status_code=status, content=content)

    def answered(self, method: str, path: list[str], more: dict[str, Any]) -> tuple[int, Any]:
        kind, ident, part = path[0], unquote("/".join(path[1:2])), "/".join(path[2:])
        params = more.get("params") or {}
        body: Any = more.get("json")
        if kind == "nodes":
            return self.of_nodes(method, ident, part, body)
        if kind == "ports":
            return self.of_ports(method, ident, body, params)
        if kind == "drivers":
            there = self.drivers if not ident else self.drivers.get(ident, {}).get("info", {})
            told = [{"name": name, **one} for name, one in self.drivers.items()]
            return 200, there if ident else {"drivers": told}
        if method == "POST":
            self.allocations[body["name"]] = body
            return 201, body
        if ident not in self.allocations:
            raise Refused(404, f"no allocation {ident}")
        return 200, self.allocations.pop(ident) if method == "DELETE" else self.allocations[ident]

    def of_nodes(self, method: str, ident: str, part: str, body: Any) -> tuple[int, Any]:
        if method == "POST":
            names = {node[key] for node in self.nodes.values() for key in ("uuid", "name")}
            if names & {body.get("uuid", ""), body.get("name", "")}:
                raise Refused(409, "a node of this name already exists")
            uuid = body.get("uuid", f"uuid-{len(self.nodes)}")
            self.node(**{"provision_state": "enroll", "name": None, **body, "uuid": uuid})
            return 201, self.nodes[uuid]
        if ident in ("", "detail"):
            return 200, {"nodes": [self.seen(node) for node in self.nodes.values()]}
        found = [n for n in self.nodes.values() if ident in (n["uuid"], n["name"])]
        if not found:
            raise Refused(404, f"no node {ident}")
        return 200, self.of_node(method, found[0], part, body)

    def of_node(self, method: str, node: dict[str, Any], part: str, body: Any) -> Any:
        if method == "PATCH":
            for change in body:
                patched(node, change)
        elif part == "states/provision":
            self.sent(node, body)
        elif part == "traits":
            node["traits"] = body["traits"]
        elif part == "validate":
            return self.invalid.get(node["uuid"], {})
        elif part == "inventory":
            if node["uuid"] not in self.inventories:
                raise Refused(404, "no inventory")
            return self.inventories[node["uuid"]]
        elif part == "management/boot_device/supported":
            return {"supported_boot_devices": node.get("devices")}
        return self.seen(node)

    def sent(self, node: dict[str, Any], body: dict[str, str]) -> None:
        """On its way to another provision state."""
        first, *self.coming[node["uuid"]] = self.ways[body["target"]]
        node["provision_state"] = first
        if body["target"] == "deleted":
            node["instance_info"] = {}
        if "configdrive" in body:
            patched(node, {"op": "add", "path": "/instance_info/configdrive", "value": "******"})

    def seen(self, node: dict[str, Any]) -> dict[str, Any]:
        """A node as it is; the next look finds it further."""
        was = json.loads(json.dumps(node))
        if self.coming.get(node["uuid"]):
            node["provision_state"] = self.coming[node["uuid"]].pop(0)
        return dict(was)

    def of_ports(
        self, method: str, ident: str, body: Any, params: dict[str, str]
    ) -> tuple[int, Any]:
        if method == "POST":
            if any(port["address"] == body["address"] for port in self.ports):
                raise Refused(409, "a port of this MAC already exists")
            self.ports.append({"uuid": f"port-{len(self.ports)}", **body})
            return 201, self.ports[-1]
        if method == "PATCH":
            port = next(port for port in self.ports if port["uuid"] == ident)
            for change in body:
                patched(port, change)
            return 200, port
        address, node = params.get("address"), params.get("node")
        fit = [port for port in self.ports if address in (None, port["address"])]
        return 200, {"ports": [port for port in fit if node in (None, port["node_uuid"])]}


def patched(entry: dict[str, Any], change: dict[str, Any]) -> None:
    """Do a part of a JSON patch (RFC 6902)."""
    *path, last = (
        part.replace("~1", "/").replace("~0", "~") for part in change["path"].split("/")[1:]
    )
    for key in path:
        entry = entry.setdefault(key, {})
    if change["op"] == "add":
        entry[last] = change["value"]
    elif last in entry:
        del entry[last]
    else:
        raise Refused(400, f"no {change['path']} to remove")


def timed(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, with a clock that goes on by what is slept alone; `slept` are the pauses."""

    def sleep(seconds: float) -> None:
        assert len(service.slept) < PAUSES_LIMIT, "this waits without end"
        service.slept.append(seconds)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: sum(service.slept))
    return service


def to(service: Service, minor: int = 104) -> Ironic:
    """bakery's way to a service that speaks version 1.`minor`; it waits for nothing."""
    connection: Any = SimpleNamespace(session=SimpleNamespace(timeout=None), baremetal=service)
    with mock.patch("openstack.utils.maximum_supported_microversion", return_value=f"1.{minor}"):
        made = Ironic(connection)
    made.session.patience_seconds = 0
    return made
