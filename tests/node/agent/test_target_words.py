"""What tgtd and tgtadm are told; a program of a test's in tgtd's place."""

from collections.abc import Callable

import pytest

from bakery.node.agent import proof, target
from bakery.node.agent.errors import AgentError
from bakery.node.agent.programs import Process, start
from bakery.node.agent.target import Access

CHAP = proof.Chap("their-secret", "our-secret")


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What tgtadm was told, in the shape MODE OPERATION WORDS; and `daemons` that were started."""
    lines: list[str] = []
    daemons: list[Process[bytes]] = []

    def call(argv):
        assert argv[:5] == [target.TGTADM, "--lld", "iscsi", "--op", argv[4]]
        assert daemons[0].poll() is None
        lines.append(" ".join([argv[6], argv[4], *argv[7:]]))
        return ""

    def begin(argv):
        daemons.append(start(["sleep", "60"]))
        lines.append(" ".join(argv[1:]))
        assert argv[0] == target.TGTD
        return daemons[-1]

    monkeypatch.setattr(target, "SOCKETS", str(tmp_path / "sockets"))
    monkeypatch.setattr(target, "call", call)
    monkeypatch.setattr(target, "start", begin)
    yield lines
    for daemon in daemons:
        assert daemon.returncode is not None, "it goes on"


def test_a_disk_is_there_for_who_has_both_secrets_at_one_address(told, tmp_path):
    with target.exported("/dev/sda", "iqn.a", Access("10.0.0.1", CHAP), 3261):
        assert [path.name for path in tmp_path.iterdir()] == ["sockets"]
    assert told == [
        "--foreground --iscsi portal=0.0.0.0:3261",
        "sys show",
        "target new --tid 1 -T iqn.a",
        "logicalunit new --tid 1 --lun 1 -b /dev/sda",
        "logicalunit update --tid 1 --lun 1 --params thin_provisioning=1",
        "account new --user conductor --password their-secret",
        "account bind --tid 1 --user conductor",
        "account new --user node --password our-secret",
        "account bind --tid 1 --user node --outgoing",
        "target bind --tid 1 -I 10.0.0.1",
    ]


def test_on_a_wire_that_is_trusted_it_is_there_for_everyone(told, tmp_path):
    (tmp_path / "sockets").mkdir()
    with target.exported("/dev/sda", "iqn.a", None):
        pass
    assert told[0].endswith("portal=0.0.0.0:3260")
    assert told[-1] == "target bind --tid 1 -I ALL"
    assert not [line for line in told if "account" in line]


def test_it_is_there_no_longer_however_the_block_ends(told):
    with pytest.raises(ValueError, match="in the block"), target.exported("/dev/sda", "i", None):
        raise ValueError("in the block")


def test_a_daemon_that_ends_at_once_is_told(told, monkeypatch):
    def begin(_argv):
        daemon = start(["sh", "-c", "exit 3"])
        daemon.wait()
        return daemon

    monkeypatch.setattr(target, "start", begin)
    with (
        pytest.raises(AgentError, match=r"tgtd exited at once \(exit code 3\)"),
        target.exported("/dev/sda", "i", None),
    ):
        pass


def test_a_daemon_that_takes_its_time_is_asked_again_until_patience_ends(told, monkeypatch):
    now, fails = [0.0], [3]
    call: Callable[[list[str]], str] = vars(target)["call"]

    def late(argv):
        if fails[0]:
            fails[0] -= 1
            raise AgentError("cannot connect")
        return call(argv)

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr("bakery.node.agent.target.time.sleep", sleep)
    monkeypatch.setattr("bakery.node.agent.target.time.monotonic", lambda: now[0])
    monkeypatch.setattr(target, "call", late)
    with target.exported("/dev/sda", "i", None):
        assert now[0] == pytest.approx(3 * target.POLL_SECONDS)
    fails[0] = 10**6
    with pytest.raises(AgentError, match="cannot connect"), target.exported("/dev/sda", "i", None):
        pass
    assert now[0] == pytest.approx(target.START_SECONDS, abs=1)
