"""Nodes of the lab that a real Ironic deploys with its real agent, told by bakery alone.

Their BMCs are asked by IPMI, they boot by iPXE, and each comes to the login of the image.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bakery.lab import state
from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from tests.conductor.targets import until
from tests.conftest import BAKERY, Bakery
from tests.e2e.compare import data_of
from tests.processes import started_with
from tests.services.lab_ironic import LabIronic

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ironic-lab"), pytest.mark.timeout(2400)]

DEPLOY_SECONDS = 1800
POLL_SECONDS = 0.2
MEMORY_MIB = "3072"  # the agent, and the qcow2 in its tmpfs
DIRECT, RAMDISK, SPARE = range(3)


class Rack:
    """Three nodes in a real Ironic, and the builds that are published beside it."""

    def __init__(self, ironic: LabIronic, folder: Path) -> None:
        self.ironic = ironic
        self.nodes = ironic.lab.nodes
        self.folder = folder

    def bakery(self, *words: str | Path, seconds: float = DEPLOY_SECONDS) -> str:
        """What `bakery …` prints, run where the nodes and the services are."""
        return self.ironic.run(BAKERY, *words, seconds=seconds)

    def published(self, image: Path, layout: str, *words: str) -> Build:
        """A build of an image, uploaded as `layout`."""
        self.bakery("build", image, "-o", self.folder / layout, "--layout", layout, "-q")
        self.bakery("upload", self.folder / layout, "--name", layout, "-q", *words)
        return manifest.load(self.folder / layout)

    def console(self, number: int) -> str:
        return Path(self.nodes[number].console).read_text(errors="replace")

    def shown(self, number: int) -> dict[str, Any]:
        """What the real client says of a node."""
        return self.ironic.show(self.nodes[number].name)

    def machines(self, number: int) -> list[int]:
        """The processes that are a node's machine: none, where it is off."""
        return started_with(self.nodes[number].disk)

    def deploying(self, number: int, image: str) -> "subprocess.Popen[str]":
        """`bakery nodes deploy`, under way."""
        words = ["nodes", "deploy", self.nodes[number].name, "--image", image, "--json"]
        return subprocess.Popen(
            self.ironic.lab.enter([BAKERY, *words]),
            env=os.environ | self.ironic.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def awaited(sign: Callable[[], object]) -> None:
    """Return when `sign` is seen, which a machine without acceleration may take minutes for."""
    until(lambda: bool(sign()), seconds=DEPLOY_SECONDS, pause=POLL_SECONDS)


@contextlib.contextmanager
def halted(*processes: int) -> Iterator[None]:
    """Processes that do nothing meanwhile."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def first_difference(disk: Path, base: Path) -> int | None:
    """Where a disk is other than a base with zeros behind it; None where it is not."""
    with disk.open("rb") as written, base.open("rb") as wanted:
        for one, other in ((wanted, written), (written, wanted)):
            for offset, data in data_of(one.fileno()):
                there = os.pread(other.fileno(), len(data), offset).ljust(len(data), b"\0")
                if there != data:
                    return offset
    return None


@pytest.fixture(scope="module")
def rack(bakery: Bakery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    folder = tmp_path_factory.mktemp("rack")
    done = bakery("lab", "up", "--lab", folder / "lab", "--nodes", "3", "--memory", MEMORY_MIB)
    assert done.returncode == 0, done.stderr
    try:
        with LabIronic(state.load(folder / "lab"), folder / "services") as ironic:
            ironic.enroll(DIRECT, RAMDISK, SPARE)
            yield Rack(ironic, folder)
    finally:
        bakery("lab", "down", "--lab", folder / "lab")


def test_nodes_enrolled_by_a_file_are_available_and_answer_to_ipmi(rack):
    for number in (DIRECT, RAMDISK, SPARE):
        shown = rack.shown(number)
        assert (shown["provision_state"], shown["power_state"]) == ("available", "power off")
    name = rack.nodes[SPARE].name
    rack.bakery("nodes", "boot-device", name, "pxe")
    rack.bakery("nodes", "power", name, "on")
    assert rack.machines(SPARE)
    assert rack.shown(SPARE)["power_state"] == "power on"
    rack.bakery("nodes", "power", name, "off")
    assert not rack.machines(SPARE)


def test_a_whole_disk_by_direct_is_on_the_disk_byte_by_byte_and_comes_to_the_login(rack, sample):
    build = rack.published(sample("default"), "disk", "--compress")
    with rack.deploying(DIRECT, "disk") as deploy:
        awaited(lambda: rack.machines(DIRECT))
        (agent,) = rack.machines(DIRECT)
        awaited(lambda: agent not in rack.machines(DIRECT))
        awaited(lambda: rack.machines(DIRECT))
        with halted(*rack.machines(DIRECT)):  # the agent has written, the system not yet
            difference = first_difference(Path(rack.nodes[DIRECT].disk), build.base)
        assert difference is None
        stdout, stderr = deploy.communicate(timeout=DEPLOY_SECONDS)
    assert deploy.returncode == 0, stderr + rack.console(DIRECT)[-3000:]
    (told,) = json.loads(stdout)
    assert told["state"] == rack.shown(DIRECT)["provision_state"] == "active"
    awaited(lambda: "login:" in rack.console(DIRECT))
    rack.bakery("nodes", "undeploy", rack.nodes[DIRECT].name, "-q")
    assert rack.shown(DIRECT)["instance_info"] == {}
    assert not rack.machines(DIRECT)


# Its arguments on the node are in test_deploy_ironic.py, a real agent's deploy is the one above.
@pytest.mark.full
def test_a_trio_by_ramdisk_boots_with_the_images_own_arguments_to_the_login(rack, sample):
    build = rack.published(sample("default"), "pv")
    node = rack.nodes[RAMDISK]
    # This interface writes nothing: the disk has to hold the base.
    subprocess.run(["cp", "--sparse=always", build.base, node.disk], check=True)
    os.truncate(node.disk, node.disk_bytes)
    with rack.deploying(RAMDISK, "pv") as deploy:
        stdout, stderr = deploy.communicate(timeout=DEPLOY_SECONDS)
    assert deploy.returncode == 0, stderr
    assert json.loads(stdout)[0]["state"] == "active"
    line = rack.shown(RAMDISK)["instance_info"]["kernel_append_params"]
    assert line.split() == list(build.manifest.kernel_args)
    awaited(lambda: "login:" in rack.console(RAMDISK))
    (given,) = re.findall(r"Command line: (.*)", rack.console(RAMDISK))
    assert line in given
    rack.bakery("nodes", "undeploy", node.name, "-q")
    assert not rack.machines(RAMDISK)
