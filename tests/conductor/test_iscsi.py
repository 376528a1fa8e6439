"""A disk behind a real iSCSI target, through libiscsi and qemu-nbd."""

import functools
import os
import shutil
import signal
import socket
import sys
import time

import pytest

from bakery.conductor import iscsi
from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.iscsi import Target, attached
from tests.conductor.proxy import Proxy
from tests.conductor.targets import IQN, blank, exported, free_port, stored_bytes, until
from tests.leftovers import alive

slow = pytest.mark.slow
# Another program in place of qemu-nbd, found by its name.
offered = functools.partial(
    attached, command=lambda place, _device: ["qemu-nbd", "--socket", place.server]
)
MIB = 1 << 20
SIZE = 64 * MIB


@pytest.fixture
def disk(tmp_path):
    return blank(tmp_path / "disk", SIZE, old=b"old " * 1024)


def target(port, iqn=IQN):
    return Target("127.0.0.1", iqn, port)


@slow
def test_what_is_written_is_on_the_nodes_disk_and_is_read_back(disk):
    content = os.urandom(5 * MIB)
    with exported(disk) as tgtd, attached(target(tgtd.port)) as there:
        assert there.size_bytes == SIZE
        there.write(3 * MIB, memoryview(content))
        there.flush()
        assert there.read(3 * MIB, len(content)) == content
        assert disk.read_bytes()[3 * MIB : 8 * MIB] == content


@slow
def test_a_range_made_zeros_is_let_go_by_a_thin_disk(disk):
    with exported(disk) as tgtd, attached(target(tgtd.port)) as there:
        there.zero(0, SIZE)
        there.flush()
        assert there.read(SIZE // 2, 4096) == bytes(4096)
        assert stored_bytes(disk) < MIB


@slow
def test_a_range_made_zeros_reads_as_zeros_on_a_disk_that_cannot_let_go(disk):
    with exported(disk, thin=False) as tgtd, attached(target(tgtd.port)) as there:
        there.zero(MIB, SIZE - MIB)
        there.flush()
        there.settle()
    content = disk.read_bytes()
    assert content[:MIB] == b"old " * (MIB // 4)
    assert not any(content[MIB:])


@slow
def test_the_initiator_logs_out_when_the_block_ends(disk):
    with exported(disk) as tgtd:
        with attached(target(tgtd.port)):
            assert tgtd.sessions()
        assert not tgtd.sessions()


@slow
def test_the_initiator_logs_out_when_the_block_fails(disk):
    with exported(disk) as tgtd:
        with pytest.raises(ZeroDivisionError), attached(target(tgtd.port)):
            raise ZeroDivisionError
        until(lambda: not tgtd.sessions())


@slow
def test_a_target_of_another_name_is_refused_with_its_address(disk):
    with exported(disk) as tgtd:
        refused = f"cannot log in to the disk at 127.0.0.1:{tgtd.port}: .*Target not found"
        with pytest.raises(DiskFailed, match=refused), attached(target(tgtd.port, IQN + "x")):
            pass


@slow
def test_where_nobody_listens_the_login_fails():
    nowhere = target(free_port())
    with pytest.raises(DiskFailed, match="cannot log in"), attached(nowhere, login_seconds=3):
        pass


@slow
def test_a_target_that_never_answers_ends_at_the_bound():
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(DiskFailed, match=r"did not respond for 0\.5 s"),
        attached(target(mute.getsockname()[1]), login_seconds=0.5),
    ):
        pass


@slow
def test_a_connection_cut_once_is_made_again_and_nothing_is_lost(disk):
    content = os.urandom(24 * MIB)
    with exported(disk) as tgtd, Proxy(tgtd.port) as proxy:
        proxy.cut_after(9 * MIB)
        with attached(target(proxy.port)) as there:
            there.write(0, memoryview(content))
            there.flush()
            assert there.read(MIB, MIB) == content[MIB : 2 * MIB]
    assert proxy.cuts == 1
    assert disk.read_bytes()[: len(content)] == content


@slow
def test_a_connection_that_stays_cut_ends_at_the_stall_bound(disk):
    with exported(disk) as tgtd, Proxy(tgtd.port) as proxy:
        proxy.cut_after(9 * MIB, for_good=True)
        there = target(proxy.port)
        lost = pytest.raises(DiskFailed, match="did not respond for 1 s")
        with lost, attached(there, stall_seconds=1) as disk_there:
            disk_there.write(0, memoryview(bytes(24 * MIB)))
            disk_there.flush()


@slow
def test_a_disk_that_gives_up_names_the_place(tmp_path):
    small = blank(tmp_path / "disk", 8 * MIB)
    with exported(small) as tgtd, attached(target(tgtd.port)) as there:
        os.truncate(small, 4 * MIB)  # what lies behind can no longer be read
        with pytest.raises(DiskFailed, match="could not be read at byte 6291456"):
            there.read(6 * MIB, 4096)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """What runs in place of qemu-nbd: a shell's words, in which $SOCKET is where to listen."""

    def put(words):
        path = tmp_path / "bin" / "qemu-nbd"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nSOCKET="$2"\n{words}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=":")

    return put


@pytest.fixture
def file(tmp_path, program):
    """A disk that needs no target: the real qemu-nbd offers this file."""
    path = tmp_path / "file"
    path.write_bytes(b"\x55" * MIB)
    real = shutil.which("qemu-nbd")
    assert real
    pid = tmp_path / "pid"
    program(f'echo $$ >{pid}; exec {real} --socket "$SOCKET" --format=raw {path}')
    return path


def test_a_disk_is_there_for_the_block_and_its_program_ends_with_it(file, tmp_path):
    with offered(target(3260)) as there:
        assert there.size_bytes == MIB
        there.write(0, memoryview(b"abc"))
        pid = int((tmp_path / "pid").read_text())
        assert alive(pid)
    assert file.read_bytes()[:4] == b"abc\x55"
    assert not alive(pid)


def test_the_logout_is_waited_for(program, file, tmp_path):
    words = (tmp_path / "bin/qemu-nbd").read_text().splitlines()[-1].replace("exec ", "")
    program(f"trap '' TERM; {words}; sleep 0.3; echo out >{tmp_path}/out")
    with offered(target(3260)):
        pass
    assert (tmp_path / "out").read_text() == "out\n"


def test_a_logout_that_never_ends_is_not_waited_for(program, file, monkeypatch, tmp_path):
    monkeypatch.setattr(iscsi, "LOGOUT_SECONDS", 0.1)
    words = (tmp_path / "bin/qemu-nbd").read_text().splitlines()[-1].replace("exec ", "")
    program(f"{words}; exec sleep 1000")
    began = time.monotonic()
    with offered(target(3260)):
        pass
    assert time.monotonic() - began < 60


def test_a_disk_that_is_silent_is_given_up_after_the_bound_for_it(file, tmp_path):
    with offered(target(3260), login_seconds=20, stall_seconds=0.2) as there:
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DiskFailed, match=r"did not respond for 0\.2 s"):
            there.read(0, 1)
        os.kill(pid, signal.SIGCONT)
        there.settle()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("echo \"qemu-nbd: Failed to blk_new_open 'json:{}': iSCSI: no route\" >&2; exit 1",
         "iSCSI: no route"),
        ("exit 3", "qemu-nbd failed with exit code 3"),
        ("kill -9 $$", "qemu-nbd was ended by SIGKILL"),
        ("exec sleep 1000", "qemu-nbd did not start within 0.3 s"),
    ],
)  # fmt: skip
def test_a_login_that_fails_is_told_with_its_portal_and_the_reason(
    program, monkeypatch, words, reason
):
    monkeypatch.setattr(iscsi, "START_SECONDS", 0.3)
    monkeypatch.setattr(iscsi, "END_SECONDS", 0.2)
    program(words)
    with pytest.raises(DiskFailed) as caught, offered(target(3261)):
        pass
    assert caught.value.message == f"cannot log in to the disk at 127.0.0.1:3261: {reason}"


def test_a_server_that_does_not_greet_is_given_up_after_the_bound_for_the_login(
    program, monkeypatch
):
    monkeypatch.setattr(iscsi, "END_SECONDS", 0.1)
    listens = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
        "s.listen(); time.sleep(1000)"
    )
    program(f'exec {sys.executable} -c "{listens}" "$SOCKET"')
    with (
        pytest.raises(DiskFailed, match=r"127\.0\.0\.1:3260: .*did not respond for 0\.2 s"),
        offered(target(3260), login_seconds=0.2),
    ):
        pass
