"""What the stranger knows: more than anybody on a wire could, the secrets of each try included."""

import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from bakery.netboot import boot_config

ADDRESS, MAC = "192.168.77.66", "02:00:00:00:00:66"
SERVER, API_PORT = "192.168.77.1", 6385
FIRST_LEASED = "192.168.77.128"
INTERFACE = "wire0"


class Victim(NamedTuple):
    """A node, and what its try has for secrets; none of them before it begins."""

    uuid: str
    mac: str
    key: str = ""
    token: str = ""
    address: str = FIRST_LEASED

    @property
    def iqn(self) -> str:
        """Its target."""
        return f"iqn.2008-10.org.openstack:{self.uuid}"

    @property
    def names(self) -> list[str]:
        """All that is served for it."""
        files = ("deploy_kernel", "deploy_ramdisk", "config", "kernel", "ramdisk")
        frames = ("frames-base", "frames-0", "frames-1", "frames-2")
        return [
            *(f"{self.uuid}/{name}" for name in (*files, *frames)),
            f"token-{self.uuid}",
            boot_config.pxelinux_name(self.mac),
            boot_config.ipxe_name(self.mac),
            boot_config.grub_name(self.mac),
        ]


class Known(NamedTuple):
    """The nodes by UUID and MAC, and the folder of the conductor's journals."""

    nodes: list[tuple[str, str]]
    journals: str

    def victims(self) -> list[Victim]:
        """The nodes, with the secrets that are good now."""
        return [self._victim(*node) for node in self.nodes]

    def _victim(self, node: str, mac: str) -> Victim:
        told: dict[str, Any] = {}
        try:
            told = json.loads((Path(self.journals) / f"{uuid.UUID(node)}.json").read_text())
        except (OSError, ValueError):
            return Victim(node, mac)
        secret, agent = told["deployment"], told["agent"] or {}
        address = agent.get("address", FIRST_LEASED)
        return Victim(node, mac, secret["key"], secret["token"], address)
