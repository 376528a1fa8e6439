import os
import shutil
import signal

import pytest

from bakery.bmc import Bmc
from bakery.lab import state
from tests.lab.labs import command, lab_up
from tests.processes import has_ended, started_with

pytestmark = pytest.mark.slow


def switch_on(lab):
    access = lab.node("1").bmc
    Bmc(access.address, access.port, access.username, access.password, enter=lab.enter).power_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_keeper_that_is_asked_to_end_removes_everything(tmp_path, number):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab:
        switch_on(lab)
        (node,) = started_with(lab.node("1").uuid)
        os.kill(lab.keeper_pid, number)
        assert has_ended(lab.keeper_pid)
        assert has_ended(node)
        assert list(tmp_path.iterdir()) == []


def test_a_lab_whose_folder_was_removed_ends(tmp_path):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab:
        switch_on(lab)
        (node,) = started_with(lab.node("1").uuid)
        shutil.rmtree(tmp_path / "lab")
        assert has_ended(lab.keeper_pid)
        assert has_ended(node)
        assert list(tmp_path.iterdir()) == []


def test_of_two_that_come_up_in_one_folder_at_once_one_is_told_that_the_other_is_up(tmp_path):
    """The second asks for the lock when the first has it."""
    with lab_up(tmp_path / "lab") as lab:
        again = command(tmp_path / "lab", "up")
        assert (again.returncode, state.load(tmp_path / "lab")) == (1, lab)


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
