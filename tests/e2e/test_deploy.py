"""From a blank disk to the login of the system that was written, by the two commands of a user.

A node is a virtual machine without acceleration, so each of these takes minutes.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bakery.serve.events import Dhcp, Entry, Http, TftpSent, read_log
from tests.conftest import BAKERY, Bakery, Sample
from tests.deploy.targets import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("lab"), pytest.mark.timeout(2400)]
DEPLOY_SECONDS = 1800


@dataclass
class Lab:
    """A lab that is up in `folder`."""

    bakery: Bakery
    folder: Path
    nodes: list[dict[str, Any]]

    def deploy(self, image: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return self.bakery(*self.words(image, *words), timeout=DEPLOY_SECONDS)

    def words(self, image: Path, *words: str) -> list[str | Path]:
        names = [node["name"] for node in self.nodes]
        return ["deploy", *names, "--image", image, "--lab", self.folder, "--json", *words]

    def console(self, number: int = 0) -> str:
        return Path(self.nodes[number]["console"]).read_text(errors="replace")

    def wire(self) -> list[Entry]:
        return list(read_log(self.folder.with_name(f"{self.folder.name}-deploys") / "wire.jsonl"))


@contextlib.contextmanager
def lab(bakery: Bakery, folder: Path, *words: str) -> Iterator[Lab]:
    done = bakery("lab", "up", "--lab", folder, "--json", *words)
    assert done.returncode == 0, done.stderr
    try:
        yield Lab(bakery, folder, json.loads(done.stdout)["nodes"])
    finally:
        bakery("lab", "down", "--lab", folder)


def built(bakery: Bakery, sample: Sample, folder: Path, layout: str) -> Path:
    done = bakery("build", sample("default"), "-o", folder / layout, "--layout", layout)
    assert done.returncode == 0, done.stderr
    return folder / layout


def test_bios_pxe_brings_a_blank_disk_to_the_login_of_the_atomic_image(bakery, sample, tmp_path):
    image = built(bakery, sample, tmp_path, "pv")
    args = json.loads((image / "fedora-atomic.manifest.json").read_text())["kernel_args"]
    deployment = next(arg for arg in args if arg.startswith("ostree="))
    with lab(bakery, tmp_path / "lab") as there:
        done = there.deploy(image)
        assert done.returncode == 0, done.stderr
        (outcome,) = json.loads(done.stdout)
        assert (outcome["state"], outcome["attempts"]) == ("running", 1)
        console = there.console()
        assert console.index("is exported as") < console.index(deployment)
        assert console.index(deployment) < console.rindex("login:")
        the_wire_is_that_of_the_classic_deploy(there.wire(), there.nodes[0]["uuid"])


def the_wire_is_that_of_the_classic_deploy(wire: list[Entry], node: str) -> None:
    """Address, deploy ramdisk, token, POST; then address, system's kernel and ramdisk."""
    seen = []
    for entry in wire:
        event = entry.event
        if isinstance(event, Dhcp) and event.answer == "ACK" and event.firmware:
            seen.append("address")
        elif isinstance(event, TftpSent):
            seen.append(event.path.rpartition("/")[2])
        elif isinstance(event, Http):
            seen.append(f"{event.method} {event.path.rpartition('/')[2]} {event.status}")
    wanted = [
        *("address", "pxelinux.0", "deploy_kernel", "deploy_ramdisk", f"token-{node}"),
        "POST pass_deploy_info 202",
        *("address", "pxelinux.0", "kernel", "ramdisk"),
    ]
    rest = iter(seen)
    assert all(step in rest for step in wanted), seen


def test_a_conductor_killed_while_it_writes_is_followed_by_one_that_goes_on(
    bakery, sample, tmp_path
):
    image = built(bakery, sample, tmp_path, "pv")
    with lab(bakery, tmp_path / "lab") as there:
        words = [BAKERY, *there.words(image)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
            assert first.stderr is not None
            for line in first.stderr:
                event = json.loads(line)
                if event["step"] == "node-1 writing" and event["kind"] == "progress":
                    break
            os.kill(first.pid, signal.SIGKILL)
        done = there.deploy(image)
        assert done.returncode == 0, done.stderr
        assert "goes on at 'writing'" in done.stderr
        (outcome,) = json.loads(done.stdout)
        assert outcome["state"] == "running"
        until(lambda: "login:" in there.console())


@pytest.mark.parametrize(
    ("layout", "words", "options"),
    [
        ("lv", (), ("--bios", "ipxe")),
        ("disk", (), ()),
        ("pv", ("--firmware", "uefi"), ()),
        ("pv", ("--nic", "e1000"), ("--swap", "64")),
    ],
    ids=["ipxe-lv", "disk", "uefi", "e1000-swap"],
)
def test_every_way_to_boot_reaches_the_login(bakery, sample, tmp_path, layout, words, options):
    image = built(bakery, sample, tmp_path, layout)
    with lab(bakery, tmp_path / "lab", *words) as there:
        done = there.deploy(image, *options)
        assert done.returncode == 0, done.stderr + there.console()[-3000:]
