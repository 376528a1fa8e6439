import os
import shutil
import signal
import subprocess
import sys

import msgspec
import pytest

from bakery.bmc.ipmi import Bmc
from bakery.lab import control, state, virtual_bmc
from bakery.lab.keeper import Answer, Keeper, Settings, _end
from bakery.lab.state import BmcAccess, Lab
from tests.lab.labs import command, lab_up
from tests.processes import has_ended, started_with

SETTINGS = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")


class Node:
    """A node of the keeper's, looked at so many times."""

    def __init__(self) -> None:
        self.looks = 0
        self.state: state.Power = "off"

    def look(self) -> None:
        self.looks += 1

    def record(self) -> state.Node:
        return state.Node(
            name="node-1", uuid="u", mac="m", firmware="bios", nic="virtio", disk="d", disk_bytes=1,
            bmc=BmcAccess("10.0.0.1", 6231, "admin", "x"), console="c", state=self.state,
        )  # fmt: skip


class Serving:
    """A keeper of one node, whose BMCs do what it is called with, in turn; then its folder goes."""

    def __init__(self, folder, lock, monkeypatch) -> None:
        self.folder, self.record, self.node = folder, folder / state.RECORD, Node()
        self.keeper = Keeper(folder, lock, SETTINGS)
        self.keeper._nodes = [self.node]  # type: ignore[list-item]
        self._patch = monkeypatch

    def __call__(self, *steps) -> None:
        waiting = iter([*steps, lambda: shutil.rmtree(self.folder)])
        self._patch.setattr(virtual_bmc, "serve", lambda _seconds: next(waiting)())
        self.keeper.serve()


@pytest.fixture
def serving(tmp_path, monkeypatch):
    lock = state.hold(tmp_path / "lab")
    assert lock is not None
    yield Serving(tmp_path / "lab", lock, monkeypatch)
    os.close(lock)


def failing():
    raise ValueError("a packet")


def test_a_keeper_goes_on_whatever_a_packet_does_and_complains_so_often(
    serving, monkeypatch, capsys
):
    monkeypatch.setattr("bakery.lab.keeper.COMPLAINTS_LIMIT", 2)
    serving(*[failing] * 4)
    assert serving.node.looks == 5
    assert capsys.readouterr().err.count("ValueError: a packet") == 2


def test_the_record_is_written_where_it_changed(serving):
    written = []

    def look():
        written.append(serving.record.stat().st_ino)

    def change():
        serving.node.state = "on"

    serving.keeper.save()
    before = serving.record.stat().st_ino
    serving(look, look, change, look)
    assert written[:2] == [before, before]
    assert written[2] != before


def test_the_record_says_whose_lab_it_is(serving):
    serving.keeper.save()
    lab = msgspec.json.decode(serving.record.read_bytes(), type=Lab)
    assert (lab.folder, lab.keeper_pid) == (str(serving.folder), os.getpid())
    assert (lab.address, lab.nodes) == (SETTINGS.address, (serving.node.record(),))


@pytest.fixture
def keeper(tmp_path):
    """Starts a keeper that is not to come up; what it said, its exit code."""

    def start(settings):
        words = [sys.executable, "-P", "-m", "bakery.lab.keeper", tmp_path / "lab"]
        words.append(msgspec.json.encode(settings).decode())
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
        return msgspec.json.decode(done.stdout, type=Answer), done.returncode

    return start


def test_a_keeper_does_not_take_the_folder_of_another(keeper, tmp_path, holder):
    (tmp_path / "lab/node-1").mkdir()
    answer, code = keeper(SETTINGS)
    assert (answer.error, code) == (f"a lab is up in {tmp_path / 'lab'} already", 1)
    assert "bakery lab status" in answer.hint
    assert (tmp_path / "lab/node-1").exists()


def test_a_keeper_that_cannot_make_its_lab_says_why_and_leaves_nothing(keeper, tmp_path):
    (tmp_path / "lab/node-1").mkdir(parents=True)
    (tmp_path / "lab" / state.LOCK).touch()
    answer, code = keeper(msgspec.structs.replace(SETTINGS, address="10.0.0.0/24"))
    assert (answer.error, code) == ("10.0.0.0/24 is not the address of a machine", 2)
    assert list(tmp_path.iterdir()) == []


def test_who_has_heard_enough_does_not_stop_a_keeper(tmp_path):
    words = [sys.executable, "-P", "-m", "bakery.lab.keeper", tmp_path / "lab"]
    words.append(msgspec.json.encode(msgspec.structs.replace(SETTINGS, address="")).decode())
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 2)


def test_a_keeper_that_is_asked_to_end_removes_what_it_keeps(tmp_path):
    lab = control.up(tmp_path / "lab", SETTINGS)
    os.kill(lab.keeper_pid, signal.SIGHUP)
    assert has_ended(lab.keeper_pid)
    assert list(tmp_path.iterdir()) == []


def test_who_is_asked_to_end_hears_nothing_more(monkeypatch):
    handled: dict[int, object] = {}
    monkeypatch.setattr(signal, "signal", handled.__setitem__)
    with pytest.raises(SystemExit) as ended:
        _end(signal.SIGTERM, None)
    assert ended.value.code == 0
    assert handled == dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), signal.SIG_IGN)


def switch_on(lab):
    access = lab.node("1").bmc
    Bmc(access.address, access.port, access.username, access.password, enter=lab.enter).power_on()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_keeper_that_is_asked_to_end_removes_everything(tmp_path, number):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab:
        switch_on(lab)
        (node,) = started_with(lab.node("1").uuid)
        os.kill(lab.keeper_pid, number)
        assert has_ended(lab.keeper_pid)
        assert has_ended(node)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_lab_whose_folder_was_removed_ends(tmp_path):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab:
        switch_on(lab)
        (node,) = started_with(lab.node("1").uuid)
        shutil.rmtree(tmp_path / "lab")
        assert has_ended(lab.keeper_pid)
        assert has_ended(node)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_two_that_come_up_in_one_folder_at_once_one_is_told_that_the_other_is_up(tmp_path):
    """The second asks for the lock when the first has it."""
    with lab_up(tmp_path / "lab") as lab:
        again = command(tmp_path / "lab", "up")
        assert (again.returncode, state.load(tmp_path / "lab")) == (1, lab)


@pytest.mark.slow
def test_packets_that_are_none_of_ipmi_do_not_end_a_bmc(tmp_path):
    hostile = [b"", b"\x06", b"\x06\x00\xff\x07" + bytes(3), os.urandom(900)]
    # Headers of RMCP+ payloads: IPMI, Open Session, RAKP 1 and 3, cut short or filled up.
    hostile += [
        bytes([6, 0, 0xFF, 7, 6, kind]) + bytes([fill]) * length
        for kind in (0x00, 0x10, 0x12, 0x14, 0xC0)
        for fill in (0x00, 0xFF)
        for length in (10, 20, 60, 1400)
    ]
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for word in sys.argv[2:]:\n"
        "    s.sendto(bytes.fromhex(word), ('192.168.77.1', int(sys.argv[1])))\n"
    )
    with lab_up(tmp_path / "lab") as lab:
        access = lab.node("1").bmc
        words = ["python3", "-c", script, str(access.port), *(packet.hex() for packet in hostile)]
        done = command(tmp_path / "lab", "run", "--", *words)
        assert done.returncode == 0, done.stderr
        switch_on(lab)
        assert command(tmp_path / "lab", "status").stdout.startswith("node-1: on")
