"""Nodes of fake hardware in a real Ironic, and a build published beside them in two shapes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests import tiny
from tests.conftest import BAKERY
from tests.openstack.glance import publishing
from tests.services.api import Glance
from tests.services.openstack import ADMIN, Project

ARGS = f"root=UUID={tiny.ROOT_UUID} ro console=ttyS0"
Done = subprocess.CompletedProcess[str]


class Fleet:
    """A project of its own, with `count` available nodes and the images `pv` and `disk`.

    An administrator sees the images of all projects, so `close` takes them away again.
    The `deaf` ones among the nodes start no agent: what waits for one waits for ever.
    """

    def __init__(self, project: Project, folder: Path, count: int, deaf: int = 0) -> None:
        self.project = project
        self.folder = folder
        self.env = project.env(ADMIN)
        self.builds = {
            name: publishing.build(folder, *options, name=name)
            for name, options in (("pv", ()), ("disk", ("--layout", "disk")))
        }
        self.upload()
        self.names = self._enrolled(range(deaf, count), "ipxe")
        self.deaf_names = self._enrolled(range(deaf), "fake") if deaf else []

    def close(self, image_url: str) -> None:
        """Delete the images, in the Glance at `image_url`."""
        Glance(self.project, image_url).clear()

    def upload(self) -> None:
        """Publish what is not published."""
        for build in self.builds.values():
            self.done("upload", build, "-q")

    def _enrolled(self, numbers: range, boot: str) -> list[str]:
        """New available nodes."""
        nodes = [
            {
                "name": f"{self.project.name}-{number}",
                "driver": "fake-hardware",
                "boot_interface": boot,
                "resource_class": f"class-{self.project.name}",
                "traits": ["CUSTOM_FAST"] if number else [],
                "ports": [{"address": self._mac(number)}],
            }
            for number in numbers
        ]
        path = self.folder / f"{boot}.json"
        path.write_text(json.dumps({"nodes": nodes}))
        self.done("nodes", "enroll", path, "--provide")
        return [str(node["name"]) for node in nodes]

    def _mac(self, number: int) -> str:
        fleet = int(self.project.id[:4], 16)
        return f"52:54:{fleet >> 8:02x}:{fleet & 255:02x}:00:{number:02x}"

    def node(self) -> str:
        """A node that no other test has had."""
        return self.names.pop()

    def deaf(self, count: int) -> list[str]:
        """Nodes that start no agent, and that no other test has had."""
        return [self.deaf_names.pop() for _ in range(count)]

    def bakery(self, *words: str | Path) -> Done:
        """Run bakery as the project's administrator."""
        env = os.environ | self.env
        return subprocess.run(
            [BAKERY, *words], env=env, capture_output=True, text=True, check=False
        )

    def done(self, *words: str | Path) -> str:
        """What `bakery …` prints; it ends well."""
        done = self.bakery(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self, *words: str) -> str:
        """`openstack baremetal node …`, the real one."""
        return str(self.project.client("baremetal", "node", *words, cloud=ADMIN).text)

    def show(self, name: str) -> dict[str, Any]:
        """What the real client says of a node."""
        found: dict[str, Any] = json.loads(self.client("show", "-f", "json", name))
        return found

    def deploy(self, *words: str) -> Done:
        """`bakery nodes deploy … --json`."""
        return self.bakery("nodes", "deploy", *words, "--json")


def refused(done: Done, code: int = 1) -> str:
    """What a command said that ended with this code, and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr
