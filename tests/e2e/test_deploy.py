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
from typing import Any, Literal
from uuid import UUID

import pytest

from bakery.bmc import Bmc
from bakery.lab import state
from bakery.serve.events import Dhcp, Entry, Http, TftpSent, read_log
from tests.conftest import BAKERY, REPOSITORY, Bakery, Sample
from tests.deploy import timeline
from tests.deploy.capture import Packet, captured, file_sent, packets, steps, stream
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

    def start(self, device: Literal["network", "disk"], number: int = 0) -> None:
        """Switch a node on by its BMC, from that device."""
        known = state.load(self.folder)
        access = known.nodes[number].bmc
        bmc = Bmc(access.address, access.port, access.username, access.password, enter=known.enter)
        bmc.boot_from(device)
        bmc.power_on()

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


def built(bakery: Bakery, sample: Sample, folder: Path, layout: str, *words: str) -> Path:
    done = bakery("build", sample("default"), "-o", folder / layout, "--layout", layout, *words)
    assert done.returncode == 0, done.stderr
    return folder / layout


def test_bios_pxe_brings_a_blank_disk_to_the_login_of_the_atomic_image(bakery, sample, tmp_path):
    image = built(bakery, sample, tmp_path, "pv")
    args = json.loads((image / "fedora-atomic.manifest.json").read_text())["kernel_args"]
    deployment = next(arg for arg in args if arg.startswith("ostree="))
    record = tmp_path / "wire.pcap"
    with lab(bakery, tmp_path / "lab") as there:
        with captured(there.folder, record):
            done = there.deploy(image)
        assert done.returncode == 0, done.stderr
        (outcome,) = json.loads(done.stdout)
        console = there.console()
        assert (outcome["state"], outcome["attempts"]) == ("running", 1), (
            done.stderr + console[-3000:]
        )
        assert console.index("is exported as") < console.index(deployment)
        assert console.index(deployment) < console.rindex("login:")
        the_log_is_that_of_the_classic_deploy(there.wire(), there.nodes[0]["uuid"])
        seen = list(packets(record))
        the_wire_is_that_of_the_classic_deploy(seen, there.nodes[0])
        the_notes_tell_the_same_steps(seen, UUID(there.nodes[0]["uuid"]))


def the_wire_is_that_of_the_classic_deploy(seen: list[Packet], node: dict[str, Any]) -> None:
    """As a capture has it: token, POST, login, zeros, data, logout, port 10000, the system."""
    uuid, config = node["uuid"], f"RRQ pxelinux.cfg/01-{node['mac'].replace(':', '-')}"
    iqn = f"iqn.2008-10.org.openstack:{uuid}"
    post = f"POST /v1/nodes/{uuid}/vendor_passthru/pass_deploy_info"
    wanted = [
        *(config, f"RRQ {uuid}/deploy_kernel", f"RRQ {uuid}/deploy_ramdisk"),
        *(f"RRQ token-{uuid}", post),
        *(f"iSCSI login {iqn}", "iSCSI zero", "iSCSI write", "iSCSI logout"),
        *("connect to 10000", "say done"),
        *(config, f"RRQ {uuid}/kernel", f"RRQ {uuid}/ramdisk"),
    ]
    names = [name for name, _ in steps(seen)]
    met = in_order(seen, wanted)
    for once in (post, f"iSCSI login {iqn}", "iSCSI logout", "connect to 10000"):
        assert names.count(once) == 1, once
    head, _, body = stream(seen, met[4]).partition(b"\r\n\r\n")
    info, offered = json.loads(body), file_sent(seen, met[0]).decode().lower()
    token = file_sent(seen, met[3]).strip()
    assert len(token) >= 32 and b"X-Auth-Token: " + token in head
    assert info == {"address": met[4].source[0], "key": info["key"], "iqn": iqn, "error": ""}
    assert f"deployment_key={info['key']} ".lower() in offered
    assert "default deploy" in offered
    assert "default boot_partition" in file_sent(seen, met[11]).decode().lower()


def the_notes_tell_the_same_steps(seen: list[Packet], node: UUID) -> None:
    """docs/protocol.md has a table of a capture; times differ, steps do not."""
    notes = (REPOSITORY / "docs/protocol.md").read_text()
    rows = notes.split(timeline.HEAD + "\n")[1].split("\n\n")[0].splitlines()
    told = [tuple(row.strip("| ").split(" | ")[3:]) for row in rows]
    if not asked_for_by_pxelinux(node):
        told = [step for step in told if step != ("N", "RRQ pxelinux.cfg/UUID")]
    assert [(line.source, line.what) for line in timeline.lines(seen)][: len(told)] == told


def asked_for_by_pxelinux(node: UUID) -> bool:
    """Whether it takes this UUID for one, by its seventh byte (syslinux, core/sysappend.c)."""
    return 0x10 <= node.bytes_le[6] < 0xF0  # as SMBIOS has it: the first half little-endian


def in_order(seen: list[Packet], wanted: list[str]) -> list[Packet]:
    """The packets that mean the wanted steps, each after the one before."""
    rest = iter(list(steps(seen)))
    met: list[Packet] = []
    for step in wanted:
        packet = next((packet for name, packet in rest if name == step), None)
        assert packet, f"{step} is not there after {wanted[: len(met)]}"
        met.append(packet)
    return met


def the_log_is_that_of_the_classic_deploy(wire: list[Entry], node: str) -> None:
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


def test_of_three_nodes_the_one_killed_while_it_is_written_recovers_alone(bakery, sample, tmp_path):
    image = built(bakery, sample, tmp_path, "pv")
    with lab(bakery, tmp_path / "lab", "--nodes", "3") as there:
        words = [BAKERY, *there.words(image)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout is not None and run.stderr is not None
            told = []
            for line in run.stderr:
                told.append(event := json.loads(line))
                if event["step"] == "node-2 writing" and event["kind"] == "progress":
                    break
            os.kill(machine(there.nodes[1]["disk"]), signal.SIGKILL)
            told += map(json.loads, run.stderr)
            outcomes = json.loads(run.stdout.read())
        ends = {outcome["name"]: (outcome["state"], outcome["attempts"]) for outcome in outcomes}
        assert ends == {
            "node-1": ("running", 1),
            "node-2": ("running", 2),
            "node-3": ("running", 1),
        }, told[-20:]
        for undisturbed in (outcomes[0], outcomes[2]):
            states = [visit["state"] for visit in undisturbed["visits"]]
            assert len(states) == len(set(states))
        assert all("login:" in there.console(number) for number in range(3))


def machine(disk: str) -> int:
    """The process of the node with that disk."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if words.startswith(b"qemu-system") and disk.encode() in words:
                return int(path.parent.name)
    raise LookupError(disk)


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


def test_two_nodes_that_pull_over_uefi_hear_one_image_and_reach_the_login(bakery, sample, tmp_path):
    image = built(bakery, sample, tmp_path, "pv", "--compress", "zstd")
    with lab(bakery, tmp_path / "lab", "--firmware", "uefi", "--nodes", "2") as there:
        done = there.deploy(image, "--method", "direct")
        assert done.returncode == 0, done.stderr + there.console()[-3000:]
        for outcome in json.loads(done.stdout):
            assert (outcome["state"], outcome["attempts"]) == ("running", 1)
            states = [visit["state"] for visit in outcome["visits"]]
            assert states.index("writing") < states.index("verifying") < states.index("switched")
        assert "is written; waiting on port 10000" in there.console()
        told = [json.loads(line) for line in done.stderr.splitlines()]
        assert any(event["step"] == "all writing" for event in told)
        assert_heard(there, image)


def assert_heard(there: Lab, image: Path) -> None:
    """A node that came late may have fetched all, but not both."""
    packed = json.loads((image / "fedora-atomic-base.index").read_text())["chunks"]
    heard = f"{len(packed)} of them were sent to all"
    assert heard in there.console() or heard in there.console(1)
    fetched = [entry.event for entry in there.wire() if isinstance(entry.event, Http)]
    sent = sum(event.sent_bytes for event in fetched if "/frames-base" in event.path)
    assert sent < 1.2 * sum(length for _, _, length, *_ in packed)


def test_a_node_that_loses_power_while_it_pulls_goes_on_and_half_a_disk_never_boots(
    bakery, sample, tmp_path
):
    """Its firmware tries the disk first, where no boot sector is yet, and then the network."""
    image = built(bakery, sample, tmp_path, "disk", "--compress", "zstd")
    with lab(bakery, tmp_path / "lab") as there:
        words = [BAKERY, *there.words(image, "--method", "direct")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout is not None and run.stderr is not None
            told = []
            for line in run.stderr:
                told.append(event := json.loads(line))
                if (
                    event["step"] == "node-1 writing"
                    and event["done_bytes"] > event["total_bytes"] / 3
                ):
                    break
            before = len(there.console())
            os.kill(machine(there.nodes[0]["disk"]), signal.SIGKILL)
            there.start("disk")
            told += map(json.loads, run.stderr)
            (outcome,) = json.loads(run.stdout.read())
        assert (outcome["state"], outcome["attempts"]) == ("running", 1), told[-20:]
        console = there.console()[before:]
        refused, again = console.index("not a bootable disk"), console.index("is written; waiting")
        assert refused < again < console.rindex("login:")
        frames = [e.event for e in there.wire() if isinstance(e.event, Http)]
        sent = sum(event.sent_bytes for event in frames if "/frames-" in event.path)
        packed = json.loads((image / "fedora-atomic-base.index").read_text())["chunks"]
        data = sum(length for _, _, length, *_ in packed)
        assert data / 2 < sent < 1.25 * data  # an answer cut off is counted when it is noticed
