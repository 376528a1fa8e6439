"""A disk behind a real iSCSI target, through libiscsi and qemu-nbd."""

import os
import socket

import pytest

from bakery.deploy.iscsi import Target, attached
from bakery.deploy.nbd import DiskFailed
from bakery.errors import BakeryError
from tests.deploy.proxy import Proxy
from tests.deploy.targets import IQN, blank, exported, free_port, stored_bytes, until

pytestmark = pytest.mark.slow
MIB = 1 << 20
SIZE = 64 * MIB


@pytest.fixture
def disk(tmp_path):
    return blank(tmp_path / "disk", SIZE, old=b"old " * 1024)


def target(port, iqn=IQN):
    return Target("127.0.0.1", iqn, port)


def test_what_is_written_is_on_the_nodes_disk_and_is_read_back(disk):
    content = os.urandom(5 * MIB)
    with exported(disk) as tgtd, attached(target(tgtd.port)) as there:
        assert there.size_bytes == SIZE
        there.write(3 * MIB, memoryview(content))
        there.flush()
        assert there.read(3 * MIB, len(content)) == content
        assert disk.read_bytes()[3 * MIB : 8 * MIB] == content


def test_a_range_made_zeros_is_let_go_by_a_thin_disk(disk):
    with exported(disk) as tgtd, attached(target(tgtd.port)) as there:
        there.zero(0, SIZE)
        there.flush()
        assert there.read(SIZE // 2, 4096) == bytes(4096)
        assert stored_bytes(disk) < MIB


def test_a_range_made_zeros_reads_as_zeros_on_a_disk_that_cannot_let_go(disk):
    with exported(disk, thin=False) as tgtd, attached(target(tgtd.port)) as there:
        there.zero(MIB, SIZE - MIB)
        there.flush()
        there.settle()
    content = disk.read_bytes()
    assert content[:MIB] == b"old " * (MIB // 4)
    assert not any(content[MIB:])


def test_the_initiator_logs_out_when_the_block_ends(disk):
    with exported(disk) as tgtd:
        with attached(target(tgtd.port)):
            assert tgtd.sessions()
        assert not tgtd.sessions()


def test_the_initiator_logs_out_when_the_block_fails(disk):
    with exported(disk) as tgtd:
        with pytest.raises(ZeroDivisionError), attached(target(tgtd.port)):
            raise ZeroDivisionError
        until(lambda: not tgtd.sessions())


def test_a_target_of_another_name_is_refused_with_its_address(disk):
    with exported(disk) as tgtd:
        refused = f"no login to the disk at 127.0.0.1:{tgtd.port}: .*Target not found"
        with pytest.raises(DiskFailed, match=refused), attached(target(tgtd.port, IQN + "x")):
            pass


def test_where_nobody_listens_the_login_fails():
    nowhere = target(free_port())
    with pytest.raises(DiskFailed, match="no login"), attached(nowhere, login_seconds=3):
        pass


def test_a_target_that_never_answers_ends_at_the_bound():
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        pytest.raises(DiskFailed, match=r"gave no answer for 0\.5 s"),
        attached(target(mute.getsockname()[1]), login_seconds=0.5),
    ):
        pass


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


def test_a_connection_that_stays_cut_ends_at_the_stall_bound(disk):
    with exported(disk) as tgtd, Proxy(tgtd.port) as proxy:
        proxy.cut_after(9 * MIB, for_good=True)
        there = target(proxy.port)
        lost = pytest.raises(DiskFailed, match="no answer for 1 s")
        with lost, attached(there, stall_seconds=1) as disk_there:
            disk_there.write(0, memoryview(bytes(24 * MIB)))
            disk_there.flush()


def test_a_disk_that_gives_up_names_the_place(tmp_path):
    small = blank(tmp_path / "disk", 8 * MIB)
    with exported(small) as tgtd, attached(target(tgtd.port)) as there:
        os.truncate(small, 4 * MIB)  # what lies behind can no longer be read
        with pytest.raises(DiskFailed, match="could not be read at byte 6291456"):
            there.read(6 * MIB, 4096)


@pytest.mark.parametrize(
    ("address", "iqn", "port"),
    [
        ("node", IQN, 3260),
        ("127.0.0.1", "iqn-x,file.driver=file", 3260),
        ("127.0.0.1", "", 3260),
        ("127.0.0.1", IQN, 0),
    ],
)
def test_what_cannot_be_a_target_is_refused_before_anything_is_started(address, iqn, port):
    with pytest.raises(BakeryError):
        Target(address, iqn, port)


def test_an_ipv6_portal_is_in_brackets():
    assert Target("fd00::1", IQN).portal == "[fd00::1]:3260"
