import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.bmc.ipmi import Bmc
from bakery.host.errors import BakeryError
from bakery.host.run import run
from tests.bootsector import saying
from tests.conftest import REPOSITORY
from tests.lab.labs import attached, fresh, lab_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bmc")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with lab_up(tmp_path_factory.mktemp("bmc") / "lab", "--nodes", "3", "--memory", "256") as lab:
        yield lab


def bmc(lab, name="node-1", **changed):
    access = lab.node(name).bmc
    words = {
        "address": access.address,
        "port": access.port,
        "username": access.username,
        "password": access.password,
        "enter": lab.enter,
    }
    return Bmc(**(words | changed))


def ipmitool(lab, name, *words):
    access = lab.node(name).bmc
    argv = ["ipmitool", "-I", "lanplus", "-H", access.address, "-p", str(access.port)]
    argv += ["-U", access.username, "-P", access.password, *words]
    return run(lab.enter(argv), check=False)


def test_a_node_is_switched_on_and_off_and_is_seen_to_be(lab):
    node = bmc(lab)
    assert node.power() == "off"
    node.power_on()
    node.power_on()
    assert node.power() == fresh(lab).state == "on"
    node.power_off()
    node.power_off()
    assert node.power() == "off"
    assert fresh(lab).state == "off"


def test_a_blank_node_that_boots_from_the_network_runs_ipxe(lab):
    node = bmc(lab)
    node.boot_from("network")
    assert fresh(lab).boot == "network"
    assert "EFI" in ipmitool(lab, "node-1", "chassis", "bootparam", "get", "5").text
    bmc(lab, firmware="bios").boot_from("network")
    assert "EFI" not in ipmitool(lab, "node-1", "chassis", "bootparam", "get", "5").text
    with attached(lab.node("1")) as viewer:
        node.power_on()
        before = viewer.until("net0: 52:54:00:4c:00:01 using virtio-net")
    assert "Boot failed" not in before, "the disk was tried first"
    assert node.power() == "on"
    assert fresh(lab).boot == "disk", "an order for the next start holds for that alone"
    node.power_off()


def test_an_order_for_the_next_start_counts_when_the_guest_restarts_itself(lab):
    node = bmc(lab, "node-2")
    disk = Path(lab.node("2").disk)
    with disk.open("r+b") as file:
        file.write(saying(b"from the disk\r\n", "reset"))
    with attached(lab.node("2")) as viewer:
        node.power_on()
        viewer.until("from the disk")
        node.boot_from("network")
        viewer.until("net0: 52:54:00:4c:00:02")
        assert node.power() == "on"
    assert [node.power() for _ in range(2)] == ["on", "on"]
    assert fresh(lab, "node-2").boot == "disk"
    node.power_off()


def test_the_disk_is_the_first_choice_of_a_node_that_was_told_nothing(lab):
    node = bmc(lab, "node-2")
    with Path(lab.node("2").disk).open("r+b") as file:
        file.write(saying(b"from the disk\r\n", "reset"))
    with attached(lab.node("2")) as viewer:
        node.power_on()
        viewer.until("Booting from Hard Disk")
        viewer.until("from the disk")
    node.power_off()


def test_ipmitool_switches_nodes_too(lab):
    assert ipmitool(lab, "node-3", "power", "status").text == "Chassis Power is off\n"
    assert ipmitool(lab, "node-3", "power", "reset").returncode != 0
    assert ipmitool(lab, "node-3", "chassis", "bootdev", "pxe", "options=persistent").text
    flags = ipmitool(lab, "node-3", "chassis", "bootparam", "get", "5").text
    assert "Force PXE" in flags
    assert "all future boots" in flags
    assert fresh(lab, "node-3").boot == "network"
    with attached(lab.node("3")) as viewer:
        assert ipmitool(lab, "node-3", "power", "on").returncode == 0
        assert bmc(lab, "node-3").power() == "on"
        viewer.until("net0: 52:54:00:4c:00:03")
        assert ipmitool(lab, "node-3", "power", "reset").returncode == 0
        viewer.until("SeaBIOS")
        assert ipmitool(lab, "node-3", "power", "cycle").returncode == 0
        viewer.until("SeaBIOS")
    assert ipmitool(lab, "node-3", "chassis", "bootdev", "none").returncode == 0
    assert fresh(lab, "node-3").boot == "disk"
    refused = ipmitool(lab, "node-3", "chassis", "bootdev", "bios")
    assert b"Invalid data field" in refused.stderr
    assert ipmitool(lab, "node-3", "mc", "guid").returncode == 0
    assert ipmitool(lab, "node-3", "power", "off").returncode == 0
    assert ipmitool(lab, "node-3", "power", "status").text == "Chassis Power is off\n"


def test_each_failure_has_its_own_words(lab):
    with pytest.raises(BakeryError, match=r"denies login as 'admin': Incorrect password") as wrong:
        bmc(lab, password="guess").power()
    assert "password" in wrong.value.hint
    with pytest.raises(BakeryError, match=r"denies login as 'root': Unauthorized name"):
        bmc(lab, username="root").power()
    with pytest.raises(BakeryError, match=r"the BMC at 192.168.77.1 port 623 does not answer"):
        bmc(lab, port=623, silence_seconds=3).power()
    with pytest.raises(BakeryError, match=r"cannot be reached: .*(resolution|known)"):
        bmc(lab, address="no-such-host.invalid").power_off()
    with pytest.raises(BakeryError, match="longer than the 20 bytes"):
        bmc(lab, password="x" * 21)


def test_a_bmc_that_refuses_is_quoted(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        shutil.rmtree(Path(lab.node("1").disk).parent)
        with pytest.raises(BakeryError, match=r"refuses to switch the node on: ."):
            bmc(lab).power_on()
        assert bmc(lab).power() == "off"


def test_a_bmc_that_hangs_is_given_up_and_one_that_answers_again_is_heard(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        os.kill(lab.keeper_pid, signal.SIGSTOP)
        try:
            with pytest.raises(BakeryError, match="does not answer"):
                bmc(lab, silence_seconds=5).power()
            with pytest.raises(BakeryError, match="does not answer"):
                bmc(lab, seconds=0).boot_from("network")
        finally:
            os.kill(lab.keeper_pid, signal.SIGCONT)
        assert bmc(lab).power() == "off"


def test_a_bmc_that_says_yes_and_does_nothing_is_told_apart():
    words = [sys.executable, "-m", "tests.lab.stubborn_bmc"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            node = Bmc("127.0.0.1", port, "admin", "secret", seconds=0)
            assert node.power() == "off"
            with pytest.raises(BakeryError, match="did not switch the node on within 0 s"):
                node.power_on()
        finally:
            server.kill()


def test_the_password_is_in_no_command_line(lab):
    seen: list[list[object]] = []

    def enter(argv):
        seen.append(list(argv))
        return lab.enter(argv)

    node = bmc(lab, enter=enter)
    assert node.power() == "off"
    assert seen
    assert not any(lab.node("1").bmc.password in str(word) for argv in seen for word in argv)
