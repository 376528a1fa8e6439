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

from bakery.bmc.ipmi import Bmc
from bakery.conductor.journal import Journal
from bakery.lab import state
from bakery.netboot.wire_events import Dhcp, Http, LogEntry, TftpSent, read_log
from tests.conductor import timeline
from tests.conductor.capture import Packet, captured, file_sent, packets, steps, stream
from tests.conductor.targets import until
from tests.conftest import BAKERY, REPOSITORY, Bakery, Sample
from tests.watch import Watch, files_with, watching

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

    def inside(self, words: list[str]) -> list[str]:
        """The command that runs on the lab's network."""
        return [str(word) for word in state.load(self.folder).enter(words)]

    def console(self, number: int = 0) -> str:
        return Path(self.nodes[number]["console"]).read_text(errors="replace")

    def start(self, device: Literal["network", "disk"], number: int = 0) -> None:
        """Switch a node on by its BMC, from that device."""
        known = state.load(self.folder)
        access = known.nodes[number].bmc
        bmc = Bmc(access.address, access.port, access.username, access.password, enter=known.enter)
        bmc.boot_from(device)
        bmc.power_on()

    def wire(self) -> list[LogEntry]:
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
    with watching() as watch, lab(bakery, tmp_path / "lab") as there:
        with captured(there.folder, record):
            done = there.deploy(image)
        assert done.returncode == 0, done.stderr
        watch.stop()
        no_secret_was_shown_or_kept(watch, there, done.stdout + done.stderr)
        (outcome,) = json.loads(done.stdout)
        console = there.console()
        assert (outcome["state"], outcome["attempts"]) == ("running", 1), (
            done.stderr + console[-3000:]
        )
        assert console.index("is exported as") < console.index(deployment)
        assert console.index(deployment) < console.rindex("login:")
        the_log_is_that_of_the_classic_deploy(there.wire(), there.nodes[0]["uuid"])
        the_same_command_again_leaves_the_node_alone(there, image)
        what_it_runs_is_not_overwritten_by_a_script_that_does_not_say_so(there, image)
        seen = list(packets(record))
        the_wire_is_that_of_the_classic_deploy(seen, there.nodes[0])
        the_notes_tell_the_same_steps(seen, UUID(there.nodes[0]["uuid"]))


def no_secret_was_shown_or_kept(watch: Watch, there: Lab, said: str) -> None:
    """Those of the BMC and of the try: each is in one file, and no process had it to be read."""
    assert watch.programs("bakery.conductor.conductor") and watch.programs("bakery.bmc.ipmi_worker")
    password = state.load(there.folder).nodes[0].bmc.password
    journals = there.folder.with_name(f"{there.folder.name}-deploys")
    journal = Journal(journals, UUID(there.nodes[0]["uuid"]))
    kept = journal.read()
    assert kept
    for secret, place in (
        (password, there.folder / state.RECORD),
        (kept.deployment.token, journal.path),
        (kept.deployment.signing_key, journal.path),
    ):
        assert watch.showed(secret) == []
        assert secret not in said
        assert files_with(secret, there.folder, journals) == {place}
    # The node has the key in its kernel's arguments, which its console prints.
    assert watch.showed(kept.deployment.key) == []
    assert kept.deployment.key not in said


def the_same_command_again_leaves_the_node_alone(there: Lab, image: Path) -> None:
    before = written(there)
    done = there.deploy(image)
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert (outcome["name"], outcome["state"]) == ("node-1", "running")
    assert outcome["left_alone"]
    assert written(there) == before


def what_it_runs_is_not_overwritten_by_a_script_that_does_not_say_so(
    there: Lab, image: Path
) -> None:
    before = written(there)
    for words in (["--again"], ["--swap", "64"]):
        done = there.deploy(image, *words)
        assert done.returncode == 1
        assert "--yes" in json.loads(done.stdout)["hint"]
    assert written(there) == before


def written(there: Lab) -> tuple[bytes, int, int]:
    """What a deploy would change at once: journal, machine, wire."""
    journals = there.folder.with_name(f"{there.folder.name}-deploys")
    journal = (journals / f"{there.nodes[0]['uuid']}.json").read_bytes()
    return journal, machine(there.nodes[0]["disk"]), len(there.wire())


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
    for once in (post, "iSCSI logout", "connect to 10000"):
        assert names.count(once) == 1, once
    assert names.count(f"iSCSI login {iqn}") == 2  # the first has the target prove what it is
    head, _, body = stream(seen, met[4]).partition(b"\r\n\r\n")
    info, offered = json.loads(body), file_sent(seen, met[0]).decode().lower()
    token = file_sent(seen, met[3]).strip()
    assert len(token) >= 32 and b"X-Auth-Token: " + token in head
    known = {"address": met[4].source[0], "iqn": iqn, "error": "", "chap": "both"}
    machine = {"macs": node["mac"], "serial": "", "disk_model": "", "disk_serial": node["name"]}
    assert info == known | machine | {"key": info["key"], "disk_bytes": info["disk_bytes"]}
    assert f"deployment_key={info['key']}".lower() in offered.split()
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


def the_log_is_that_of_the_classic_deploy(wire: list[LogEntry], node: str) -> None:
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
    image = built(bakery, sample, tmp_path, "disk")  # so the one whole disk over iSCSI is here
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
        assert "resumes at 'writing'" in done.stderr
        (outcome,) = json.loads(done.stdout)
        assert outcome["state"] == "running"
        until(lambda: "login:" in there.console())


# A node that goes down and recovers is in the pull below, several nodes at once in
# tests/hostile/test_stranger.py.
@pytest.mark.full
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
        # UEFI starts the nodes of the multicast, a whole disk that of the killed conductor.
        pytest.param("pv", ("--firmware", "uefi"), (), id="uefi"),
        pytest.param("disk", (), (), id="disk"),
        # iPXE, another card and a swap area are together where a stranger is at work over iSCSI.
        pytest.param("lv", (), ("--bios", "ipxe"), id="virtio-lv"),
        pytest.param("pv", ("--nic", "e1000"), (), id="e1000-pv"),
        pytest.param("pv", (), ("--swap", "64"), id="swap-pv"),
    ],
)
@pytest.mark.full  # tests/hostile/test_stranger.py deploys two nodes each way in the default run
def test_every_way_to_boot_reaches_the_login(bakery, sample, tmp_path, layout, words, options):
    image = built(bakery, sample, tmp_path, layout)
    with lab(bakery, tmp_path / "lab", *words) as there:
        done = there.deploy(image, *options)
        assert done.returncode == 0, done.stderr + there.console()[-3000:]


def assert_heard(there: Lab, image: Path) -> None:
    """A node that came late may have fetched all, but not both."""
    packed = json.loads((image / "fedora-atomic-base.index").read_text())["chunks"]
    heard = f"{len(packed)} of them arrived by multicast"
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
