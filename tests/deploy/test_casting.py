"""Which node is told to listen, and where."""

import os
import signal
import time
from pathlib import Path

import pytest

from bakery.deploy import casting
from bakery.deploy.casting import PORT
from tests import processes

pytestmark = pytest.mark.xdist_group("udpcast")  # they share the machine's ports


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "base.zst"
    path.write_bytes(b"frames")
    return path


def senders(image: Path, count: int) -> list[int]:
    """So many senders of `image`, awaited: a program that is just being started has no words."""
    deadline = time.monotonic() + 10
    while len(found := processes.started_with(str(image))) != count:
        assert time.monotonic() < deadline, f"{len(found)} senders, not {count}"
        time.sleep(0.01)
    return found


def test_nodes_that_ask_together_share_a_sender(image: Path):
    with casting.casting(image, "lo", 3) as there:
        assert there
        assert [there.port() for _ in range(3)] == [PORT] * 3
        assert senders(image, 1)
    assert processes.started_with(str(image)) == []


def test_who_is_late_has_the_next_sender_and_the_last_one_fetches(
    image: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(casting, "LATE_SECONDS", casting.JOIN_SECONDS)
    with casting.casting(image, "lo", 3) as there:
        assert there
        assert [there.port() for _ in range(3)] == [PORT, PORT + 2, 0]
        assert senders(image, 2)
    assert processes.started_with(str(image)) == []


def test_a_sender_that_died_has_a_successor(image: Path):
    with casting.casting(image, "lo", 3) as there:
        assert there
        first = there.port()
        (sender,) = senders(image, 1)
        os.kill(sender, signal.SIGKILL)
        assert processes.has_ended(sender)
        assert (first, there.port()) == (PORT, PORT + 2)


def test_one_node_alone_fetches(image: Path):
    with casting.casting(image, "lo", 1) as there:
        assert there is None
