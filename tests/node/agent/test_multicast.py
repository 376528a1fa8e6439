"""What is multicast is taken for what it is; what does not come that way is fetched."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakery.node.agent import programs
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.fetch import PATIENCE, Patience
from bakery.node.agent.pull import pull
from tests.node.agent.served import MIB, QUICK, SIZE, Served

PORT = 9000


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    with served.server:
        yield served


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(SIZE + 4 * MIB))
    return path


Hear = Callable[[bytes], list[list[str]]]


@pytest.fixture
def hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Have these bytes come in the receiver's place; the commands that were started for it."""

    def heard(content: bytes) -> list[list[str]]:
        path, started = tmp_path / "heard", []
        path.write_bytes(content)

        def listen(argv: list[str]) -> programs.Process[bytes]:
            started.append(argv)
            return programs.listen(["cat", str(path)])

        monkeypatch.setattr("bakery.node.agent.multicast.listen", listen)
        return started

    return heard


def brought(served: Served, disk: Path, patience: Patience = PATIENCE) -> int:
    """The bytes of the base that were fetched in the end."""
    with BlockDevice(str(disk)) as device:
        pull(device, served.write_list(cast=PORT), lambda *_told: None, "eth0", patience)
    assert disk.read_bytes()[MIB : MIB + SIZE] == served.base.read_bytes()
    served.server.stop()
    return sum(event.sent_bytes for event in served.events if event.path == "/base.zst")


def test_what_is_heard_is_not_fetched(served, disk, hear):
    started = hear(served.encrypted_frames)
    assert brought(served, disk) == 0
    ((program, *words),) = started
    assert program == "udp-receiver"
    assert words[words.index("--interface") + 1] == "eth0"
    assert words[words.index("--portbase") + 1] == str(PORT)


def test_what_is_not_heard_to_the_end_is_fetched_from_there(served, disk, hear):
    half = served.chunks[len(served.chunks) // 2]
    hear(served.encrypted_frames[: half.offset + 100])
    rest = served.chunks[len(served.chunks) // 2 :]
    assert brought(served, disk) == sum(chunk.length for chunk in rest)


def test_a_frame_that_is_another_is_fetched(served, disk, hear):
    wrong, chunk = bytearray(served.encrypted_frames), served.chunks[2]
    wrong[chunk.offset + chunk.length // 2] ^= 1
    hear(bytes(wrong))
    assert brought(served, disk) == chunk.length


def test_frames_that_come_unencrypted_are_fetched(served, disk, hear):
    hear(bytes(served.frames))
    assert brought(served, disk) == sum(chunk.length for chunk in served.chunks)


def test_a_stranger_who_sends_changes_nothing(served, disk, hear):
    hear(os.urandom(len(served.frames)))
    assert brought(served, disk) == sum(chunk.length for chunk in served.chunks)


def test_where_nobody_sends_everything_is_fetched(served, disk, hear):
    hear(b"")
    assert brought(served, disk) == sum(chunk.length for chunk in served.chunks)


def test_without_the_program_everything_is_fetched(served, disk, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert brought(served, disk) == sum(chunk.length for chunk in served.chunks)


@pytest.mark.parametrize(
    "sends", ["sleep 600", "cat /dev/urandom", "while echo; do sleep 0.05; done"]
)
def test_a_sender_that_is_silent_or_wrong_is_left(served, disk, monkeypatch, sends):
    def listen(_argv: list[str]) -> programs.Process[bytes]:
        return programs.listen(["sh", "-c", f"exec {sends}" if " do " not in sends else sends])

    monkeypatch.setattr("bakery.node.agent.multicast.listen", listen)
    began = time.monotonic()
    quick = QUICK._replace(wrong_sender=0.5)
    assert brought(served, disk, quick) == sum(chunk.length for chunk in served.chunks)
    assert time.monotonic() - began < 30


def test_it_is_left_within_half_a_minute():
    assert Patience().wrong_sender <= 30
