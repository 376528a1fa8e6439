"""The disk on the network: for the conductor with this try's secrets, and for nobody else."""

import os
import subprocess
from pathlib import Path

import pytest

from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.iscsi import Target, attached
from bakery.node.agent import proof, target
from bakery.node.agent.target import Access
from tests import processes
from tests.conductor.targets import IQN, blank, free_port

pytestmark = pytest.mark.slow
MIB = 1 << 20
CHAP = proof.chap("the-key")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TGT_IPC_SOCKET", str(tmp_path / "control"))
    monkeypatch.setattr(target, "SOCKETS", str(tmp_path / "sockets"))
    return blank(tmp_path / "disk", 8 * MIB)


def stranger_writes(port: int) -> str:
    """What comes of a write into the first sector by who knows the target's name alone."""
    options = f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{port}"
    options += f",file.target={IQN},file.lun=1,file.initiator-name=iqn.1999-01.evil:x"
    words = ["qemu-io", "--image-opts", options, "-c", "write -P 0x66 0 4096"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_who_has_the_secrets_writes_and_a_stranger_does_not(disk):
    port = free_port()
    with target.exported(str(disk), IQN, Access("127.0.0.1", CHAP), port):
        with attached(Target("127.0.0.1", IQN, port), CHAP) as there:
            there.write(0, memoryview(b"ours" * 1024))
            there.flush()
        assert "Failed to log in" in stranger_writes(port)
        # Also while the conductor is logged in.
        with attached(Target("127.0.0.1", IQN, port), CHAP):
            assert "Failed to log in" in stranger_writes(port)
    assert disk.read_bytes()[:4096] == b"ours" * 1024


def test_the_secrets_of_another_try_or_from_another_address_open_nothing(disk):
    port = free_port()
    for address, chap in (("127.0.0.1", proof.chap("an-old-key")), ("127.0.0.2", CHAP)):
        with (
            target.exported(str(disk), IQN, Access(address, chap), port),
            pytest.raises(DiskFailed, match="does not prove"),
            attached(Target("127.0.0.1", IQN, port), CHAP),
        ):
            pass


@pytest.mark.parametrize("access", [None, Access("127.0.0.1", CHAP._replace(node="x" * 32))])
def test_a_target_that_does_not_know_the_nodes_secret_gets_no_byte(disk, access):
    port = free_port()
    with (
        target.exported(str(disk), IQN, access, port),
        pytest.raises(DiskFailed, match="does not prove"),
        attached(Target("127.0.0.1", IQN, port), CHAP),
    ):
        pass
    assert not any(disk.read_bytes())


def test_no_secret_is_among_the_arguments_of_the_initiator(disk):
    port = free_port()
    with (
        target.exported(str(disk), IQN, Access("127.0.0.1", CHAP), port),
        attached(Target("127.0.0.1", IQN, port), CHAP),
    ):
        seen = b"".join(
            processes.of(pid, kind) for pid in children() for kind in ("cmdline", "environ")
        )
    assert b"password-secret" in seen
    assert CHAP.conductor.encode() not in seen
    assert CHAP.node.encode() not in seen


def children() -> list[int]:
    """The processes that this one has started."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]
