"""The services on a lab's own network, where a real Ironic deploys the lab's nodes.

with LabIronic(state.load(lab_folder), folder) as ironic:
    ironic.enroll(0)
    ironic.set(image_source=…)
    subprocess.run(ironic.deploy_argv(), env=os.environ | ironic.env)
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bakery.lab import network
from bakery.lab.state import Lab
from tests.conftest import BAKERY, REPOSITORY
from tests.services import developer, venvs
from tests.services.ipa import ramdisk
from tests.services.openstack import ADMIN

START_SECONDS = 2400
CALL_SECONDS = 300
DEPLOY_SECONDS = 1500


class LabIronic:
    """The services of `folder`, up in the lab as long as the `with` block."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.node = ""

    def __enter__(self) -> "LabIronic":
        self._services("up", "--ironic", f"{self.lab.address}@{network.BRIDGE}")
        self.kernel, self.ramdisk = ramdisk.make(self.folder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._services("down")

    @property
    def env(self) -> dict[str, str]:
        """What leads a client to them, from inside the lab."""
        clouds = self.folder / "projects" / developer.PROJECT / "clouds.yaml"
        return {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": ADMIN}

    @property
    def http_root(self) -> Path:
        """What is served to nodes, beside what Ironic puts there."""
        return self.folder / "ironic/http"

    @property
    def http_url(self) -> str:
        """Where it is served."""
        conf = (self.folder / "ironic/ironic.conf").read_text()
        (url,) = (line.split(" = ")[1] for line in conf.splitlines() if line.startswith("http_url"))
        return url

    @property
    def log(self) -> str:
        """What Ironic said."""
        return (self.folder / "ironic/ironic.log").read_text(errors="replace")

    def run(self, *words: str | Path, seconds: float = CALL_SECONDS) -> str:
        """What a command prints that runs in the lab and speaks to the services."""
        done = subprocess.run(
            self.lab.enter(words),
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.log[-3000:])
        return done.stdout

    def client(self, *words: str | Path, seconds: float = CALL_SECONDS) -> str:
        """`openstack …`, the real one."""
        return self.run(venvs.venv("client") / "bin/openstack", *words, seconds=seconds)

    def enroll(self, *numbers: int) -> None:
        """Make nodes of the lab available; the calls that follow are about the first of them."""
        path = self.folder / "nodes.json"
        path.write_text(json.dumps({"nodes": [self._entry(number) for number in numbers]}))
        self.run(BAKERY, "nodes", "enroll", path, "--provide", "-q")
        self.node = self.lab.nodes[numbers[0]].uuid

    def _entry(self, number: int) -> dict[str, object]:
        """A node of the lab as `bakery nodes enroll` reads it."""
        node = self.lab.nodes[number]
        return {
            "name": node.name,
            "uuid": node.uuid,
            "driver": "ipmi",
            "driver_info": {
                "ipmi_address": node.bmc.address,
                "ipmi_port": node.bmc.port,
                "ipmi_username": node.bmc.username,
                "ipmi_password": node.bmc.password,
                "ipmi_cipher_suite": 3,  # RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128
                "deploy_kernel": self.kernel.as_uri(),
                "deploy_ramdisk": self.ramdisk.as_uri(),
            },
            "properties": {"cpu_arch": "x86_64", "capabilities": f"boot_mode:{node.firmware}"},
            "ports": [{"address": node.mac}],
        }

    def set(self, **instance_info: object) -> None:
        """Give the node its instance_info, which goes again with the instance."""
        words = _pairs("--instance-info", instance_info)
        self.client("baremetal", "node", "set", *words, self.node)

    def interface(self, deploy: str) -> None:
        """Choose the deploy interface."""
        self.client("baremetal", "node", "set", "--deploy-interface", deploy, self.node)

    def deploy_argv(self, *words: str) -> list[str | Path]:
        """The command that deploys the node and waits until it is active; `env` goes with it."""
        client = venvs.venv("client") / "bin/openstack"
        wait = ("--wait", str(DEPLOY_SECONDS))
        return self.lab.enter([client, "baremetal", "node", "deploy", *wait, *words, self.node])

    def undeploy(self) -> None:
        """Take the instance away and switch the node off."""
        wait = ("--wait", str(CALL_SECONDS))
        self.client("baremetal", "node", "undeploy", *wait, self.node, seconds=CALL_SECONDS + 60)

    def show(self, node: str) -> dict[str, Any]:
        """What Ironic says of a node."""
        told = self.client("baremetal", "node", "show", "-f", "json", node)
        found: dict[str, Any] = json.loads(told)
        return found

    def _services(self, verb: str, *words: str) -> None:
        module = [sys.executable, "-m", "tests.services.developer", verb]
        argv = self.lab.enter([*module, "--folder", str(self.folder), *words])
        done = subprocess.run(
            argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=START_SECONDS
        )
        assert done.returncode == 0, done.stderr


def _pairs(option: str, values: Mapping[str, object]) -> list[str]:
    """The option for each name and value, as the client takes it."""
    return [word for name, value in values.items() for word in (option, f"{name}={value}")]
