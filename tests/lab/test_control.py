import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from bakery.bmc import Bmc
from bakery.errors import BakeryError
from bakery.lab import control, state
from bakery.lab.keeper import Settings
from bakery.run import run
from tests.lab.labs import AS_NOBODY, NOBODY, command, fresh, lab_up
from tests.processes import has_ended, started_with

pytestmark = pytest.mark.slow


def bmc(lab, name="node-1"):
    access = lab.node(name).bmc
    return Bmc(
        access.address, access.port, access.username, access.password, enter=lab.enter
    )  # fmt: skip


def namespaces() -> set[str]:
    """The network namespaces in use on this machine."""
    links = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            links.add(str(path.readlink()))
        except OSError:
            continue  # it ended meanwhile
    return links


def test_a_lab_comes_up_with_its_nodes_off_and_leaves_nothing(tmp_path):
    folder = tmp_path / "lab"
    done = command(folder, "up", "--nodes", "2", "--nic", "e1000", "--disk", "3M", "--json")
    try:
        assert done.returncode == 0, done.stderr
        told = json.loads(command(folder, "status", "--json").stdout)
        assert [node["name"] for node in told["nodes"]] == ["node-1", "node-2"]
        assert {node["state"] for node in told["nodes"]} == {"off"}
        assert len({node["mac"] for node in told["nodes"]}) == 2
        assert len({node["uuid"] for node in told["nodes"]}) == 2
        assert {node["bmc"]["address"] for node in told["nodes"]} == {"192.168.77.1"}
        disks = [Path(node["disk"]) for node in told["nodes"]]
        assert [disk.stat().st_size for disk in disks] == [3 << 20] * 2
        assert sum(disk.stat().st_blocks for disk in disks) == 0
        assert folder.stat().st_mode & 0o077 == 0
        keeper = told["keeper_pid"]
    finally:
        down = command(folder, "down")
    assert (down.returncode, down.stdout) == (0, "the lab is down\n")
    assert has_ended(keeper)
    assert list(tmp_path.iterdir()) == []
    assert command(folder, "down").stdout == f"no lab is up in {folder}\n"
    assert "no lab is up" in command(folder, "status").stderr


def test_a_second_up_says_that_it_is_up_and_changes_nothing(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        done = command(tmp_path / "lab", "up")
        assert done.returncode == 1
        assert "a lab is up" in done.stderr
        assert "bakery lab down" in done.stderr
        assert state.load(tmp_path / "lab") == lab


def test_two_labs_of_the_same_addresses_do_not_meet(tmp_path):
    with lab_up(tmp_path / "a") as one, lab_up(tmp_path / "b") as other:
        assert one.address == other.address
        bmc(one).boot_from("network", persistent=True)
        assert bmc(one).power() == bmc(other).power() == "off"
        with pytest.raises(BakeryError, match="denies login"):
            access = other.node("1").bmc
            Bmc(access.address, access.port, "admin", access.password, enter=one.enter).power()
        control.down(Path(one.folder))
        assert bmc(other).power() == "off"


def test_nothing_of_the_network_is_seen_outside_and_nothing_outside_from_it(tmp_path):
    outside = json.loads(run(["ip", "-j", "link"]).text)
    with lab_up(tmp_path / "lab", "--nodes", "2", "--address", "10.9.8.1/28") as lab:
        assert json.loads(run(["ip", "-j", "link"]).text) == outside
        inside = json.loads(run(lab.enter(["ip", "-j", "address"])).text)
        assert {link["ifname"] for link in inside} == {"lo", "lab", "tap1", "tap2"}
        bridge = next(link for link in inside if link["ifname"] == "lab")
        assert "10.9.8.1" in {address["local"] for address in bridge["addr_info"]}
        assert lab.node("node-2").bmc.address == "10.9.8.1"
        routes = json.loads(run(lab.enter(["ip", "-j", "route"])).text)
        assert [route["dst"] for route in routes] == ["10.9.8.0/28"]


def test_a_killed_keeper_takes_nodes_and_network_along_and_its_folder_is_cleared(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        own = str(Path(f"/proc/{lab.keeper_pid}/ns/net").readlink())
        assert own in namespaces()
        bmc(lab).power_on()
        (node,) = started_with(lab.node("1").uuid)
        os.kill(lab.keeper_pid, signal.SIGKILL)
        assert has_ended(lab.keeper_pid)
        assert has_ended(node)
        assert own not in namespaces()
        assert "no lab is up" in command(tmp_path / "lab", "status").stderr
        again = command(tmp_path / "lab", "up", "--json")
        assert json.loads(again.stdout)["nodes"][0]["uuid"] != lab.node("1").uuid
        os.kill(json.loads(again.stdout)["keeper_pid"], signal.SIGKILL)
        assert has_ended(json.loads(again.stdout)["keeper_pid"])
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_keeper_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "DOWN_SECONDS", 1.0)
    with lab_up(tmp_path / "lab") as lab:
        os.kill(lab.keeper_pid, signal.SIGSTOP)
        assert control.down(tmp_path / "lab")
        assert has_ended(lab.keeper_pid)
    assert list(tmp_path.iterdir()) == []


def test_an_up_that_takes_too_long_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "UP_SECONDS", 0.0)
    settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
    with pytest.raises(BakeryError, match="did not come up within"):
        control.up(tmp_path / "lab", settings)
    assert started_with(str(tmp_path / "lab")) == []
    control.down(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = command(tmp_path, "up")
    assert done.returncode == 1
    assert "holds files that are not a lab" in done.stderr
    assert command(tmp_path, "down").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_power_has_a_lab():
    # pytest's own folders are closed to others.
    home = Path(run(["mktemp", "-d", "/tmp/bakery-lab-XXXXXX"]).text.strip())
    os.chown(home, NOBODY, NOBODY)
    folder = home / "lab"
    try:
        up = command(folder, "up", "--json", prefix=AS_NOBODY)
        assert up.returncode == 0, up.stderr
        told = json.loads(up.stdout)
        assert told["user_namespace"]
        access = told["nodes"][0]["bmc"]
        words = ["ipmitool", "-I", "lanplus", "-H", access["address"], "-p", str(access["port"])]
        words += ["-U", access["username"], "-P", access["password"], "chassis", "power"]
        on = command(folder, "run", "--", *words, "on", prefix=AS_NOBODY)
        assert on.stdout == "Chassis Power Control: Up/On\n", on.stderr
        (node,) = started_with(told["nodes"][0]["uuid"])
        assert Path(f"/proc/{node}").stat().st_uid == NOBODY
        status = Path(f"/proc/{node}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert command(folder, "down", prefix=AS_NOBODY).returncode == 0
        assert has_ended(node)
        assert list(home.iterdir()) == []
    finally:
        command(folder, "down", prefix=AS_NOBODY)
        subprocess.run(["rmdir", home], check=True)


def test_a_node_that_cannot_run_is_off_and_says_why(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        Path(lab.node("1").disk).unlink()
        with contextlib.suppress(BakeryError):  # it may be off again before it was seen on
            bmc(lab).power_on()
        assert all(has_ended(pid) for pid in started_with(lab.node("1").uuid))
        # The record follows each answer before the next is given.
        assert [bmc(lab).power() for _ in range(2)] == ["off", "off"]
        assert "disk.raw" in fresh(lab).fault
        assert "disk.raw" in command(tmp_path / "lab", "status").stdout
