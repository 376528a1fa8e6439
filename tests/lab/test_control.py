import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bakery.bmc.ipmi import Bmc
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import run
from bakery.lab import control, network, state
from bakery.lab.keeper import Settings
from tests.lab.labs import AS_NOBODY, NOBODY, command, fresh, lab_up
from tests.lab.machines import until
from tests.processes import has_ended, started_with


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


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two nodes, of which none is switched on."""
    folder = tmp_path_factory.mktemp("control") / "lab"
    settings = Settings(2, "bios", "e1000", 3 << 20, 300, "10.9.8.1/28", "tcg")
    yield control.up(folder, settings)
    control.down(folder)


def test_the_record_of_a_lab_says_what_it_is(lab):
    assert (lab.address, lab.interface, lab.acceleration) == ("10.9.8.1/28", "lab", "tcg")
    assert lab.user_namespace == (os.geteuid() != 0)
    assert started_with(lab.folder) == [lab.keeper_pid]
    one, other = lab.nodes
    assert (one.name, other.name) == ("node-1", "node-2")
    assert (one.nic, one.disk_bytes, one.state, one.boot) == ("e1000", 3 << 20, "off", "disk")
    assert (one.bmc.address, one.bmc.port, other.bmc.port) == ("10.9.8.1", 6231, 6232)
    for field in ("uuid", "mac", "disk", "console"):
        assert getattr(one, field) != getattr(other, field)
    assert one.bmc.password != other.bmc.password
    assert len(bytes.fromhex(one.bmc.password)) == 8


def test_nobody_else_can_look_into_a_labs_files(lab):
    for path in (Path(lab.folder), *Path(lab.folder).rglob("*")):
        assert not path.is_symlink() and path.stat().st_mode & 0o077 == 0, path


def test_a_labs_network_is_a_bridge_with_a_tap_for_each_node_and_nothing_else(lab):
    links = {link["ifname"]: link for link in json.loads(run(lab.enter(["ip", "-j", "link"])).text)}
    assert set(links) == {"lo", "lab", "tap1", "tap2"}
    assert links["lab"]["address"] == network.BRIDGE_MAC
    assert links["tap1"]["master"] == links["tap2"]["master"] == "lab"
    assert all("UP" in link["flags"] for link in links.values())
    shown = json.loads(run(lab.enter(["ip", "-j", "address", "show", "dev", "lab"])).text)
    own = {place["local"]: place for place in shown[0]["addr_info"]}
    assert own["10.9.8.1"]["broadcast"] == "10.9.8.15"
    assert not own["fe80::1"].get("tentative")
    details = json.loads(run(lab.enter(["ip", "-j", "-d", "link", "show", "dev", "lab"])).text)
    bridge = details[0]["linkinfo"]["info_data"]
    assert (bridge["stp_state"], bridge["forward_delay"], bridge["mcast_snooping"]) == (0, 0, 0)


def test_a_keeper_holds_nothing_of_who_started_it(lab):
    def held():
        found = []
        for path in Path(f"/proc/{lab.keeper_pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(path.readlink())
        return found

    # Its input and its output; while it starts a program it holds one more for a moment.
    until(lambda: held().count(Path(os.devnull)) == 2)


def test_an_order_by_ipmi_is_in_the_record_soon(lab):
    access = lab.node("2").bmc
    words = ["ipmitool", "-I", "lanplus", "-H", access.address, "-p", str(access.port), "-C", "3"]
    words += ["-U", access.username, "-P", access.password, "chassis", "bootdev", "pxe"]
    assert "Set Boot Device to pxe" in run(lab.enter(words)).text
    until(lambda: fresh(lab, "node-2").boot == "network")
    assert fresh(lab).boot == "disk"


def test_where_a_lab_is_up_no_other_one_is_begun(lab):
    folder = Path(lab.folder)
    before = state.load(folder)
    with pytest.raises(BakeryError, match="a lab is up in") as refused:
        control.up(folder, Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg"))
    assert "bakery lab down" in refused.value.hint
    assert state.load(folder) == before


def test_a_lab_that_is_taken_down_leaves_nothing(tmp_path):
    settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
    lab = control.up(tmp_path / "lab", settings)
    assert Path(lab.node("1").disk).stat().st_size == 1 << 20
    assert control.down(tmp_path / "lab") is True
    assert has_ended(lab.keeper_pid)
    assert list(tmp_path.iterdir()) == []
    assert control.down(tmp_path / "lab") is False


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    """Has a shell script started in the keeper's place; answers how `up` ended."""

    def up(script, seconds=30.0):
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
        before = descriptors()
        with pytest.raises(BakeryError) as refused:
            control.up(tmp_path / "lab", settings, seconds=seconds)
        assert (started_with(str(program)), descriptors()) == ([], before)
        return refused.value

    return up


def test_a_keeper_is_told_its_folder_and_its_settings(keeper, tmp_path):
    keeper(f'printf "%s\\n" "$@" > {tmp_path}/words')
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:-1] == ["-P", "-m", "bakery.lab.keeper", str(tmp_path / "lab")]
    settings = msgspec.json.decode(words[-1], type=Settings)
    assert (settings.address, settings.user_namespace) == ("10.0.0.1/24", os.geteuid() != 0)


def test_a_keeper_that_ends_is_quoted(keeper):
    refused = keeper("echo nonsense; for word in one two three; do echo $word >&2; done")
    assert refused.message.endswith("ended before the lab was up: two / three")
    refused = keeper("echo words >&2; echo nonsense; exec > /dev/null; sleep 1000")
    assert refused.message.endswith("ended before the lab was up: words")
    assert keeper("exit 0").message.endswith("ended before the lab was up")


def test_what_a_keeper_says_is_wrong_is_what_the_user_is_told(keeper):
    answer = '{"error": "no bridge", "hint": "modprobe"}'
    refused = keeper(f"echo '{answer}'; exec > /dev/null; exec sleep 1000")
    assert (refused.message, refused.hint) == ("no bridge", "modprobe")


def test_a_keeper_that_says_it_is_up_and_is_not_is_ended(keeper):
    refused = keeper("echo '{}'; exec > /dev/null; exec sleep 1000")
    assert "no lab is up" in refused.message


@pytest.mark.parametrize("script", ["exec sleep 1000", "yes"])
def test_a_keeper_is_not_waited_for_without_end(keeper, script):
    assert keeper(script, seconds=0.5).message == "the lab did not come up within 0.5 s"


def test_without_its_programs_a_lab_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "PROGRAMS", ("sh", "no-such-program"))
    settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
    with pytest.raises(MissingTool, match="no-such-program"):
        control.up(tmp_path / "lab", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_keeper_is_asked_to_end_before_it_is_made_to(tmp_path, holder):
    assert control.down(tmp_path / "lab") is True
    assert holder.wait() == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_a_keeper_that_does_not_hear_is_killed(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    assert control.down(tmp_path / "lab", seconds=0.2) is True
    assert holder.wait() < 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_keeper_left_is_removed(tmp_path, holder):
    (tmp_path / "lab/node-1").mkdir()
    holder.kill()
    holder.wait()
    assert control.down(tmp_path / "lab") is True
    assert list(tmp_path.iterdir()) == []


def test_a_keeper_that_survives_everything_is_told(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    before = descriptors()
    with pytest.raises(BakeryError, match=rf"\(process {holder.pid}\) does not end"):
        control.down(tmp_path / "lab", seconds=0.05)
    assert descriptors() == before
    assert state.keeper_pid(tmp_path / "lab") == holder.pid


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(), "is another user's"),
        (ProcessLookupError(), "another lab was brought up"),
    ],
)
def test_a_keeper_that_cannot_be_asked(tmp_path, holder, monkeypatch, error, message):
    def refuse(*_):
        raise error

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    before = descriptors()
    with pytest.raises(BakeryError, match=message):
        control.down(tmp_path / "lab", seconds=0.05)
    assert descriptors() == before


def test_another_process_than_the_keeper_is_not_ended(tmp_path, holder, monkeypatch):
    """The number of one that has ended meanwhile may be another's."""
    pids = iter([holder.pid, 1, None])
    monkeypatch.setattr(state, "keeper_pid", lambda _folder: next(pids))
    before = descriptors()
    with pytest.raises(BakeryError, match="another lab was brought up"):
        control.down(tmp_path / "lab", seconds=0.05)
    assert (holder.poll(), descriptors()) == (None, before)


def test_a_keeper_that_cannot_be_seen_from_here_is_told(tmp_path, holder, monkeypatch):
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    monkeypatch.setattr(state, "keeper_pid", lambda _folder: gone.pid)
    with pytest.raises(BakeryError, match="is in another container"):
        control.down(tmp_path / "lab")
    assert holder.poll() is None


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_second_up_says_that_it_is_up_and_changes_nothing(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        done = command(tmp_path / "lab", "up")
        assert done.returncode == 1
        assert "a lab is up" in done.stderr
        assert "bakery lab down" in done.stderr
        assert state.load(tmp_path / "lab") == lab


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_stopped_keeper_is_ended_all_the_same(tmp_path):
    with lab_up(tmp_path / "lab") as lab:
        os.kill(lab.keeper_pid, signal.SIGSTOP)
        assert control.down(tmp_path / "lab", seconds=1.0)
        assert has_ended(lab.keeper_pid)
    assert list(tmp_path.iterdir()) == []


def test_an_up_that_takes_too_long_leaves_nothing(tmp_path):
    settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
    with pytest.raises(BakeryError, match="did not come up within"):
        control.up(tmp_path / "lab", settings, seconds=0.0)
    assert started_with(str(tmp_path / "lab")) == []
    control.down(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = command(tmp_path, "up")
    assert done.returncode == 1
    assert "holds files that are not a lab" in done.stderr
    assert command(tmp_path, "down").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_power_has_a_lab():
    # pytest's own folders are closed to others.
    home = Path(run(["mktemp", "-d", "/tmp/bakery-lab-XXXXXX"]).text.strip())
    os.chown(home, NOBODY, NOBODY)
    folder = home / "lab"
    try:
        up = command(folder, "up", "--json", "--show-secrets", prefix=AS_NOBODY)
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


@pytest.mark.slow
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
