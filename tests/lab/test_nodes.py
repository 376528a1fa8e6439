import contextlib
import json
import uuid

import pytest

from bakery.bmc import Bmc
from bakery.firmware import find_uefi
from bakery.lab.monitor import Monitor
from bakery.lab.node import NIC_BOOT_INDEX, Hardware
from bakery.lab.nodes import RESTART_SECONDS, VirtualNode
from bakery.lab.state import BmcAccess, Lab
from bakery.run import run
from tests.lab.labs import attached, lab_up

pytestmark = pytest.mark.slow


class Machine(Monitor):
    """In the place of a QEMU: what it tells, and the card's last place in the boot order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.index = -1

    def events(self) -> list[str]:
        told, self.told = self.told, []
        return told

    def boot_index(self, _device: str, index: int) -> None:
        self.index = index


def test_what_is_asked_for_once_holds_for_every_reset_of_a_restart(tmp_path, monkeypatch):
    """The guest's reset is followed by the firmware's own; it is the second that boots."""
    now = [1000.0]
    monkeypatch.setattr("bakery.lab.nodes.time.monotonic", lambda: now[0])
    access = BmcAccess("127.0.0.1", 6230, "admin", "secret")
    node = VirtualNode(Hardware(1, uuid.uuid4()), tmp_path, "tcg", access)
    with contextlib.closing(node):
        machine = node._monitor = Machine()
        node.boot_from("network")
        for passed in (0.0, 0.07, 1.0):
            machine.told, now[0] = ["RESET"], now[0] + passed
            node.look()
            node.look()
            assert (machine.index, node.next_boot) == (NIC_BOOT_INDEX["network"], "network")
        now[0] += RESTART_SECONDS + 0.1
        node.look()
        assert (machine.index, node.next_boot) == (NIC_BOOT_INDEX["disk"], "disk")
        node._monitor = None


def switch_on(lab: Lab) -> None:
    """To boot from the network."""
    access = lab.node("1").bmc
    bmc = Bmc(access.address, access.port, access.username, access.password, enter=lab.enter)
    bmc.boot_from("network")
    bmc.power_on()


@pytest.mark.skipif(find_uefi() is None, reason="needs OVMF")
@pytest.mark.parametrize("nic", ["virtio", "e1000"])
def test_a_uefi_node_tries_the_network(tmp_path, nic):
    words = ("--firmware", "uefi", "--nic", nic, "--memory", "512")
    with lab_up(tmp_path / "lab", *words) as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        before = viewer.until("Start PXE over IPv4")
        assert "virtio-blk" not in before.lower()
        assert lab.node("1").firmware == "uefi"


def test_an_e1000_node_tries_the_network_by_bios(tmp_path):
    words = ("--nic", "e1000", "--memory", "256")
    with lab_up(tmp_path / "lab", *words) as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        viewer.until("net0: 52:54:00:4c:00:01 using 82540em")


def test_a_running_node_is_on_the_wire(tmp_path):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab, attached(lab.node("1")) as viewer:
        switch_on(lab)
        viewer.until("Configuring (net0")
        links = json.loads(run(lab.enter(["ip", "-j", "link", "show", "dev", "tap1"])).text)
        assert "LOWER_UP" in links[0]["flags"]
        entries = json.loads(run(lab.enter(["bridge", "-j", "fdb", "show", "dev", "tap1"])).text)
        assert lab.node("1").mac in {entry["mac"] for entry in entries}
