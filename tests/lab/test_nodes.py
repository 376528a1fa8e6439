import contextlib
import json
import select
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from bakery.bmc.ipmi import Bmc
from bakery.host.errors import BakeryError
from bakery.host.qmp import Monitor, QemuRefused
from bakery.host.run import run
from bakery.lab.node import NIC_ID, boot_order
from bakery.lab.nodes import RESTART_SECONDS
from bakery.lab.state import BootDevice, Lab
from bakery.lab.terminal import connect
from bakery.vm.firmware import FlashFile, Uefi, find_uefi
from tests.lab.labs import attached, lab_up
from tests.lab.machines import LISTENS, hardware, node_in, until

PLACES = {boot: boot_order(boot)[NIC_ID] for boot in get_args(BootDevice)}


class Machine(Monitor):
    """In the place of a QEMU: what it tells, and the card's last place in the boot order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.index = -1

    def events(self) -> list[str]:
        told, self.told = self.told, []
        return told

    def send(self, command: str, arguments: Mapping[str, object] | None = None) -> None:
        assert command == "qom-set" and arguments
        index = arguments["value"]
        assert isinstance(index, int)
        if str(arguments["path"]).endswith(f"/{NIC_ID}"):
            self.index = index

    def refusals(self) -> list[QemuRefused]:
        return []


def test_what_is_asked_for_once_holds_for_every_reset_of_a_restart(node, monkeypatch):
    """The guest's reset is followed by the firmware's own; it is the second that boots."""
    now = [1000.0]
    monkeypatch.setattr("bakery.lab.nodes.time.monotonic", lambda: now[0])
    machine = node._monitor = Machine()
    node.boot_from("network")
    for passed in (0.0, 0.07, 1.0):
        machine.told, now[0] = ["RESET"], now[0] + passed
        node.look()
        node.look()
        assert (machine.index, node.next_boot) == (PLACES["network"], "network")
    now[0] += RESTART_SECONDS + 0.1
    node.look()
    assert (machine.index, node.next_boot) == (PLACES["disk"], "disk")
    node._monitor = None


def test_what_is_asked_for_after_a_reset_is_for_the_next_one(node, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bakery.lab.nodes.time.monotonic", lambda: now[0])
    machine = node._monitor = Machine()
    machine.told = ["RESET"]
    node.look()
    node.boot_from("network")
    now[0] += RESTART_SECONDS + 0.1
    node.look()
    assert (machine.index, node.next_boot) == (PLACES["network"], "network")
    node._monitor = None


def test_other_news_of_the_machine_are_no_restart(node, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bakery.lab.nodes.time.monotonic", lambda: now[0])
    machine = node._monitor = Machine()
    node.boot_from("network")
    machine.told = ["RTC_CHANGE"]
    node.look()
    now[0] += RESTART_SECONDS + 0.1
    node.look()
    assert node.next_boot == "network"
    node._monitor = None


def test_a_node_is_on_while_its_machine_runs_and_is_started_once(node, machines):
    assert (node.on, node.record().state) == (False, "off")
    node.power_on()
    process = node._process
    assert process is not None and process.poll() is None
    node.power_on()
    assert node._process is process and len(machines.asked) == 1
    node.look()
    assert (node.on, node.record().state) == (True, "on")
    node.power_off()
    assert process.poll() is not None
    assert (node.on, node.record().state, node.fault) == (False, "off", "")
    node.power_off()
    assert not node.on


def test_a_machine_is_its_nodes(node, machines):
    node.power_on()
    asked = {"tap": "tap1", "boot": "disk", "accel": "tcg", "uefi": None, "paused": False}
    assert machines.asked == [asked]


def test_what_is_tried_first_once_is_used_up_by_the_start(node, machines):
    assert node.override == (None, True)
    node.boot_from("network")
    assert (node.override, node.record().boot) == (("network", False), "network")
    node.power_on()
    assert (node.override, node.record().boot) == ((None, True), "disk")
    node.power_off()
    node.power_on()
    assert machines.boots == ["network", "disk"]


def test_what_is_tried_first_from_now_on_stays_until_it_is_taken_back(node, machines):
    node.boot_from("disk")
    node.boot_from("network", persistent=True)
    assert node.override == ("network", True), "the later order counts"
    for _ in range(2):
        node.power_on()
        node.power_off()
    node.boot_from("disk")
    assert node.override == ("disk", False)
    node.power_on()
    assert node.override == ("network", True)
    node.boot_from(None)
    assert node.override == (None, True)
    assert machines.boots == ["network", "network", "disk"]


def told(node) -> str:
    """What the machine's monitor has been told."""
    return str(node._files.messages.read_text())


def test_qemu_is_told_of_the_boot_order_and_of_what_is_pressed(node):
    node.boot_from("network")
    node.power_on()
    until(lambda: "bootindex" in told(node))
    index = f'"property": "bootindex", "value": {PLACES["disk"]}'
    assert index in told(node), "at its next restart it is the disk's turn again"
    node.boot_from("network")
    node.reset()
    node.shut_down()
    until(lambda: "system_powerdown" in told(node))
    assert f'"value": {PLACES["network"]}' in told(node)
    assert told(node).index("system_reset") < told(node).index("system_powerdown")


def medium(folder: Path, name: str = "node.iso") -> str:
    (folder / name).write_bytes(bytes(4096))
    return str(folder / name)


def commands(node) -> list[tuple[str, object]]:
    """What the machine was told of its drive, each with the medium that it concerns."""
    found = [json.loads(line) for line in told(node).splitlines()]
    return [
        (said["execute"], said["arguments"].get("node-name", ""))
        for said in found
        if said["execute"].startswith("blockdev") or said["execute"] == "cont"
    ]


PUT_IN = ("blockdev-open-tray", "blockdev-add", "blockdev-insert-medium", "blockdev-close-tray")


def test_what_is_in_the_drive_when_a_node_starts_is_there_before_it_runs(node, machines, tmp_path):
    node.insert_media(medium(tmp_path))
    assert node.media == str(tmp_path / "node.iso")
    node.boot_from("cd")
    node.power_on()
    assert (machines.asked[0]["paused"], machines.boots) == (True, ["cd"])
    until(lambda: '"cont"' in told(node))
    assert [command for command, _ in commands(node)] == [*PUT_IN, "cont"]
    assert node.override == (None, True), "the CD is tried once"
    node.power_off()
    node.power_on()
    until(lambda: '"cont"' in told(node))
    assert machines.boots == ["cd", "disk"], "the medium stays, the order does not"


def test_a_medium_is_changed_and_taken_out_while_the_node_runs(node, tmp_path):
    node.power_on()
    node.insert_media(medium(tmp_path))
    node.insert_media(medium(tmp_path, "other.iso"))
    node.eject_media()
    node.eject_media()
    assert node.media == ""
    until(lambda: told(node).count("blockdev-del") == 2)
    one, other = "medium-1", "medium-2"
    put, out = PUT_IN, ("blockdev-open-tray", "blockdev-remove-medium", "blockdev-del")
    assert commands(node) == [
        *zip(put, ("", one, one, ""), strict=True),
        *zip(out, ("", "", one), strict=True),
        *zip(put, ("", other, other, ""), strict=True),
        *zip(out, ("", "", other), strict=True),
    ]


def test_what_cannot_be_read_leaves_the_drive_as_it_was(node, tmp_path):
    node.insert_media(medium(tmp_path))
    with pytest.raises(BakeryError, match="cannot be read"):
        node.insert_media(str(tmp_path / "nowhere.iso"))
    assert node.media == str(tmp_path / "node.iso")


def test_a_medium_that_qemu_refuses_is_the_nodes_fault_without_its_place(node, machines, tmp_path):
    place = medium(tmp_path)
    refusal = json.dumps({"error": {"desc": f"Could not open '{place}': gone"}})
    taken = json.dumps({"return": {}})
    # Its answers: to the greeting's command and the tray's, and then to blockdev-add.
    said = " ".join(map(shlex.quote, (taken, taken, refusal)))
    machines.script = f"printf '%s\\n' {said} >&1; {LISTENS}"
    node.insert_media(place)
    node.power_on()
    until(lambda: (node.look(), node.fault)[1])
    assert node.fault == "the medium cannot be read: Could not open '…': gone"


def test_a_machine_that_fails_says_why_until_it_is_started_again(node, machines):
    machines.script = "echo one >&2; echo two >&2; echo the disk is gone >&2; exit 3"
    node.power_on()
    until(lambda: not node.on)
    assert node.fault == "", "nobody has looked"
    node.look()
    assert node.fault.endswith("failed with exit code 3: two / the disk is gone")
    assert node.record().fault == node.fault
    machines.script = LISTENS
    node.power_on()
    assert node.fault == ""


def test_a_machine_that_fails_without_a_word(node, machines):
    machines.script = "exit 4"
    node.power_on()
    until(lambda: not node.on)
    node.look()
    assert node.fault.endswith("failed with exit code 4")


def test_a_machine_that_switches_itself_off_has_no_fault(node, machines):
    machines.script = "echo good bye >&2; exit 0"
    node.power_on()
    until(lambda: not node.on)
    node.reset()  # a monitor that nobody hears
    node.look()
    assert (node.fault, node._monitor) == ("", None)


def test_a_machine_that_is_off_holds_nothing_open(node):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(2):
        node.power_on()
        assert descriptors() > before
        node.power_off()
        assert descriptors() == before
    node.power_on()
    process = node._process
    assert process is not None
    node.close()
    assert process.poll() is not None


def test_a_machine_that_ended_unseen_is_let_go_of_by_the_next_start(node, machines):
    before = len(list(Path("/proc/self/fd").iterdir()))
    machines.script = "exit 3"
    node.power_on()
    until(lambda: not node.on)
    machines.script = LISTENS
    node.power_on()
    assert (node.on, node.fault) == (True, "")
    node.power_off()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_power_is_taken_away_without_a_word(node, machines):
    machines.script = "trap 'echo asked >&2' TERM; echo ready >&2; while :; do sleep 0.05; done"
    node.power_on()
    until(lambda: "ready" in told(node))
    node.power_off()
    assert told(node) == "ready\n"


def test_a_machine_that_hears_nothing_is_not_waited_for(node, machines):
    machines.script = "exec sleep 60"
    node.power_on()
    assert node._monitor._link.gettimeout() == 0


def test_keys_typed_while_the_node_was_off_are_not_its_own(node, machines):
    machines.script = "read line; echo got $line >&2"
    with connect(Path(node.record().console).with_name("console.socket")) as viewer:
        viewer.send(b"rm -rf /\n")
        until(lambda: select.select([node._terminal.guest], [], [], 0)[0])
        node.power_on()
        viewer.send(b"ls\n")
        until(lambda: not node.on)
    assert told(node) == "got ls\n"


def test_a_nodes_files_are_its_owners_alone_and_its_disk_is_a_hole(tmp_path, machines):
    with contextlib.closing(node_in(tmp_path, hardware(number=2))) as node:
        folder = tmp_path / "node-2"
        assert folder.stat().st_mode & 0o077 == 0
        disk = Path(node.record().disk)
        assert (disk.parent, disk.stat().st_size, disk.stat().st_blocks) == (folder, 3 << 20, 0)
        assert not (folder / "variables.fd").exists()
        record = node.record()
        assert (record.name, record.mac) == ("node-2", "52:54:00:4c:00:02")
        assert (record.firmware, record.nic, record.disk_bytes) == ("bios", "virtio", 3 << 20)
        assert record.uuid == str(node.hardware.uuid)
        with pytest.raises(BakeryError, match=r"node-2 cannot be made in .*: File exists"):
            node_in(tmp_path, hardware(number=2))


def test_a_uefi_node_has_a_variable_store_of_its_own(tmp_path, machines, monkeypatch):
    (tmp_path / "vars").write_bytes(b"as installed")
    uefi = Uefi(FlashFile("/code"), FlashFile(str(tmp_path / "vars")))
    monkeypatch.setattr("bakery.lab.nodes.need_uefi", lambda: uefi)
    with contextlib.closing(node_in(tmp_path, hardware(firmware="uefi"))) as node:
        assert (tmp_path / "node-1/variables.fd").read_bytes() == b"as installed"
        node.power_on()
        assert machines.asked[0]["uefi"] is uefi


def switch_on(lab: Lab) -> None:
    """To boot from the network."""
    access = lab.node("1").bmc
    bmc = Bmc(access.address, access.port, access.username, access.password, enter=lab.enter)
    bmc.boot_from("network")
    bmc.power_on()


@pytest.mark.slow
@pytest.mark.skipif(find_uefi() is None, reason="needs OVMF")
@pytest.mark.parametrize("nic", ["virtio", "e1000"])
def test_a_uefi_node_tries_the_network(tmp_path, nic):
    words = ("--firmware", "uefi", "--nic", nic, "--memory", "512")
    with lab_up(tmp_path / "lab", *words) as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        before = viewer.until("Start PXE over IPv4")
        assert "virtio-blk" not in before.lower()
        assert lab.node("1").firmware == "uefi"


@pytest.mark.slow
def test_an_e1000_node_tries_the_network_by_bios(tmp_path):
    words = ("--nic", "e1000", "--memory", "256")
    with lab_up(tmp_path / "lab", *words) as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        viewer.until("net0: 52:54:00:4c:00:01 using 82540em")


@pytest.mark.slow
def test_a_running_node_is_on_the_wire(tmp_path):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        viewer.until("Configuring (net0")
        links = json.loads(run(lab.enter(["ip", "-j", "link", "show", "dev", "tap1"])).text)
        assert "LOWER_UP" in links[0]["flags"]
        entries = json.loads(run(lab.enter(["bridge", "-j", "fdb", "show", "dev", "tap1"])).text)
        assert lab.node("1").mac in {entry["mac"] for entry in entries}
