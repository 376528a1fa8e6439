"""Nodes in a real Ironic, for tests and benchmarks of `bakery nodes`."""

import json
from pathlib import Path
from typing import Any

from bakery.openstack.connection import connect
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.records import NodeThere
from tests.services.openstack import SYSTEM, Project

PASSWORD = "gesheim-471"


def entry(name: str, number: int, **more: Any) -> dict[str, Any]:
    """A node of fake hardware with all that a file can say; `number` makes its MAC."""
    mac = ":".join(f"{byte:02x}" for byte in (0x52, 0x54, *number.to_bytes(4, "big")))
    return {
        "name": name,
        "driver": "fake-hardware",
        "resource_class": "rack",
        "driver_info": {"username": "admin", "password": PASSWORD},
        "properties": {
            "cpus": 4,
            "memory_mb": 4096,
            "capabilities": "boot_mode:uefi",
            "root_device": {"size": ">= 100"},
        },
        "traits": ["CUSTOM_RACK", "HW_CPU_X86_VMX"],
        "ports": [{"address": mac, "physical_network": "net"}],
    } | more


def written(file: Path, *entries: dict[str, Any]) -> Path:
    """A file of these nodes."""
    file.write_text(json.dumps({"nodes": entries}))
    return file


def asked(project: Project, monkeypatch: Any) -> Ironic:
    """The Ironic of a project, spoken to directly."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(project.clouds_yaml))
    return Ironic(connect(SYSTEM))


def there(ironic: Ironic, prefix: str) -> list[NodeThere]:
    """The cloud's nodes whose names begin so."""
    found = (node for node in ironic.nodes() if node.name.startswith(prefix))
    return sorted(found, key=lambda node: node.name)
