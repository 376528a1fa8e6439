"""A rack that is known by its nodes file, its BMCs' addresses and an interface alone.

The rack is a lab, whose folder the deploy cannot see: an empty one is mounted over it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bakery.conductor.journal import Journal
from bakery.lab import state
from bakery.netboot.wire_events import LogEntry, read_log
from tests.conductor.targets import until
from tests.conftest import BAKERY, Bakery, Sample
from tests.e2e.test_deploy import built, lab

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lab"), pytest.mark.timeout(2400)]
DEPLOY_SECONDS = 1800
# Run with root's rights over namespaces of its own: mounts an empty folder over the first word.
BLIND = 'mount -t tmpfs none "$1" && shift && exec "$@"'
VARIABLE = "RACK_PASSWORD"


def nodes_file(folder: Path, there: state.Lab) -> Path:
    """The lab's nodes as those of a rack: the first by IPMI, the second by Redfish."""
    shutil.copy(there.authority, folder / "rack-ca.pem")
    one, two = there.nodes
    redfish = there.redfish(two)
    (folder / "r1-2.password").write_text(f"{redfish.password}\n")
    (folder / "r1-2.password").chmod(0o600)
    ways = (
        {
            "ipmi_address": one.bmc.address,
            "ipmi_port": one.bmc.port,
            "ipmi_username": one.bmc.username,
            "ipmi_password": f"${{{VARIABLE}}}",
        },
        {
            "redfish_address": redfish.address,
            "redfish_username": redfish.username,
            "redfish_verify_ca": str(folder / "rack-ca.pem"),
            "password_file": "r1-2.password",
        },
    )
    nodes = [
        {
            "name": f"r1-{number}",
            "driver": driver,
            "driver_info": way,
            "properties": {
                "cpu_arch": node.processor,
                "capabilities": f"boot_mode:{node.firmware}",
                "root_device": {"size": ">= 1"},
            },
            "ports": [{"address": node.mac}],
        }
        for number, (driver, way, node) in enumerate(
            zip(("ipmi", "redfish"), ways, there.nodes, strict=True), 1
        )
    ]
    file = folder / "rack.yaml"
    file.write_text(json.dumps({"nodes": nodes}))
    return file


class Rack:
    """What a user has of it; `deploy` sees nothing else."""

    def __init__(self, folder: Path, there: state.Lab) -> None:
        self.there, self.state = there, folder / "rack-state"
        self.file = nodes_file(folder, there)
        self.secrets = [node.bmc.password for node in there.nodes]

    def bakery(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        inside = self.there.enter(["unshare", "--mount", "--propagation", "private", "--"])
        blind = ["sh", "-c", BLIND, "sh", self.there.folder]
        return subprocess.run(
            [*map(str, inside), *map(str, blind), *map(str, (BAKERY, *words))],
            env=os.environ | {VARIABLE: self.secrets[0], state.FOLDER_VARIABLE: "/nowhere/lab"},
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )

    def deploy(self, image: Path, *words: str) -> subprocess.CompletedProcess[str]:
        place = ("--nodes", self.file, "--interface", self.there.interface, "--state", self.state)
        return self.bakery("deploy", "--all", "--image", image, *place, "--json", *words)

    def wire(self) -> list[LogEntry]:
        return list(read_log(self.state / "wire.jsonl"))


def test_a_rack_is_deployed_by_its_nodes_file_and_its_interface_alone(
    bakery: Bakery, sample: Sample, tmp_path: Path
) -> None:
    image = built(bakery, sample, tmp_path, "pv")
    with lab(bakery, tmp_path / "lab", "--nodes", "2") as place:
        rack = Rack(tmp_path, state.load(place.folder))
        assert rack.bakery("lab", "status", "--lab", place.folder).returncode == 1  # it is blind
        done = rack.deploy(image, "--until", "ping")
        assert done.returncode == 0, done.stderr + place.console()[-3000:]
        outcomes = json.loads(done.stdout)
        ends = [(end["name"], end["state"], end["sign"], end["attempts"]) for end in outcomes]
        assert ends == [("r1-1", "running", "ping", 1), ("r1-2", "running", "ping", 1)]
        until(lambda: all("login:" in place.console(number) for number in (0, 1)), 300)
        assert not any(secret in done.stdout + done.stderr for secret in rack.secrets)
        for outcome, node in zip(outcomes, place.nodes, strict=True):
            the_machine_was_told_apart(rack, outcome, node)
        the_same_again_writes_nothing(rack, image, outcomes)
        status_and_log_tell_the_same(rack, outcomes[0])


def the_machine_was_told_apart(rack: Rack, outcome: dict[str, Any], node: dict[str, Any]) -> None:
    kept = Journal(rack.state, UUID(outcome["uuid"])).read()
    assert kept
    assert node["mac"] in kept.machine.macs
    assert kept.machine.disk_bytes == node["disk_bytes"]
    assert kept.wanted.root_device == "size=%3E%3D%201"


def the_same_again_writes_nothing(rack: Rack, image: Path, outcomes: list[dict[str, Any]]) -> None:
    before = written(rack, outcomes)
    again = rack.deploy(image)
    assert again.returncode == 0, again.stderr
    left = [(one["left_alone"], one["sign"]) for one in json.loads(again.stdout)]
    assert left == [(True, "ping")] * 2
    assert written(rack, outcomes) == before


def written(rack: Rack, outcomes: list[dict[str, Any]]) -> tuple[list[bytes], int]:
    """What a deploy would change at once: journals, and the log of the wire."""
    journals = [(rack.state / f"{one['uuid']}.json").read_bytes() for one in outcomes]
    return journals, len(rack.wire())


def status_and_log_tell_the_same(rack: Rack, outcome: dict[str, Any]) -> None:
    place = ("--state", rack.state, "--json")
    told = json.loads(rack.bakery("deploy", "status", *place).stdout)
    ends = [(one["name"], one["state"], one["worked_on_by"]) for one in told]
    assert ends == [("r1-1", "running", ""), ("r1-2", "running", "")]
    (log,) = json.loads(rack.bakery("deploy", "log", "r1-1", *place).stdout)
    assert log["visits"] == outcome["visits"]
    assert "token" not in json.dumps([told, log])
