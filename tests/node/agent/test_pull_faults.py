"""What goes wrong while a node pulls its disk: it ends whole and verified, or nothing boots."""

import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from bakery.conductor.journal import Deployment
from bakery.netboot.http import HttpServer
from bakery.node.agent import marks, signed_list
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.errors import AgentError
from bakery.node.agent.fetch import CONNECTIONS
from bakery.node.agent.image import Chunk
from bakery.node.agent.layout import CHUNK
from bakery.node.agent.pull import ROUNDS, pull
from tests.conductor.proxy import Proxy
from tests.conductor.targets import until
from tests.conftest import REPOSITORY
from tests.node.agent.served import HERE, MIB, QUICK, Served, brought

pytestmark = pytest.mark.slow
SIZE = 96 * MIB
PLACES = range(0, SIZE, MIB)
CUTS, KILLS, RESTARTS, FLIPS = 36, 4, 8, 36
FRAME = CHUNK + 4096  # what does not shrink, and a frame's own fields
HEADS = 1024  # an answer's head, for each range that is asked for


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path, SIZE, PLACES)
    with served.server:
        yield served


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return had_another_system(tmp_path / "disk", SIZE + 4 * MIB)


@pytest.fixture
def little_disk(tmp_path: Path) -> Path:
    return had_another_system(tmp_path / "disk", 10 * MIB)


def had_another_system(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def is_whole(served: Served, disk: Path) -> bool:
    return disk.read_bytes()[MIB : MIB + SIZE] == served.base.read_bytes()


def nothing_boots(disk: Path) -> bool:
    return not any(disk.read_bytes()[: marks.START])


def test_a_cable_that_is_pulled_out_again_and_again(served, disk):
    """What travels twice is at most a chunk a connection and cut."""
    chance = random.Random(11)
    with Proxy(served.server.port, answers=True) as wire:
        wire.cut_after(*(chance.randrange(1, 2 * served.data_bytes // CUTS) for _ in range(CUTS)))
        write_list = served.write_list(url=f"http://127.0.0.1:{wire.port}")
        brought(disk, write_list)
    assert wire.cuts == CUTS
    assert is_whole(served, disk)
    heads = HEADS * (wire.cuts * CONNECTIONS + len(write_list.rest))
    assert wire.sent_bytes - served.data_bytes <= CUTS * CONNECTIONS * FRAME + heads


class Node:
    """The puller's process."""

    def __init__(self, folder: Path, served: Served, disk: Path, port: int) -> None:
        deployment = Deployment.fresh()
        content = served.signed(deployment, url=f"http://127.0.0.1:{port}")
        (folder / "write-list").write_bytes(content)
        self._argv = [sys.executable, "-m", "tests.node.agent.puller", str(folder / "write-list")]
        self._argv += [deployment.public_key, str(disk)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._argv, cwd=REPOSITORY)

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=120)


def test_a_node_that_dies_again_and_again_goes_on_where_it_was(served, disk, tmp_path):
    """Nothing that lies on the disk is fetched again, however old the last note of it is."""
    chance = random.Random(12)
    with Proxy(served.server.port, answers=True) as wire:
        node = Node(tmp_path, served, disk, wire.port)
        for _ in range(KILLS):
            left = sum(chunk.length for chunk in missing(served, disk))
            wanted = wire.sent_bytes + chance.randrange(left // 4, left // 3)
            node.start()
            until(partial(has_sent, wire, wanted))
            node.kill()
            assert nothing_boots(disk)
        lacking, before = missing(served, disk), wire.sent_bytes
        assert len(lacking) < 3 / 4 * len(served.chunks)
        node.start()
        assert node.end() == 0
    assert is_whole(served, disk)
    needed = sum(chunk.length for chunk in (*lacking, *served.table_index.chunks))
    assert needed <= wire.sent_bytes - before <= needed + HEADS * (len(lacking) + 1)


def has_sent(wire: Proxy, count: int) -> bool:
    return wire.sent_bytes >= count


def missing(served: Served, disk: Path) -> list[Chunk]:
    """The chunks that do not lie on the disk."""
    with disk.open("rb") as file:
        return [chunk for chunk in served.chunks if not lies_on(file, chunk)]


def lies_on(file: BinaryIO, chunk: Chunk) -> bool:
    file.seek(MIB + chunk.number * CHUNK)
    return hashlib.sha256(file.read(CHUNK)).digest() == chunk.sha256


def test_a_server_that_is_restarted_again_and_again(served, disk):
    write_list, port, at = served.write_list(), served.server.port, [served.server]

    def restart(part: str, done: int, total: int) -> None:
        if part == "writing" and len(at) <= RESTARTS and done * (RESTARTS + 1) >= total * len(at):
            at[-1].stop()
            at.append(HttpServer("127.0.0.1", served.tree, served.events.append, port=port))
            at[-1].start()

    try:
        with BlockDevice(str(disk)) as device:
            pull(device, write_list, restart, patience=QUICK)
    finally:
        at[-1].stop()
    assert len(at) > 1
    assert is_whole(served, disk)


def test_a_flipped_bit_in_the_write_list_is_refused_before_the_disk_is_touched(served, disk):
    chance, deployment, before = random.Random(13), Deployment.fresh(), disk.read_bytes()
    good = served.signed(deployment)
    for _ in range(FLIPS):
        content = bytearray(good)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(AgentError, match="not signed"):
            signed_list.read(bytes(content), bytes.fromhex(deployment.public_key), HERE)
    assert disk.read_bytes() == before


@pytest.fixture
def little(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "little").mkdir()
    little = Served(tmp_path / "little", 6 * MIB, range(0, 6 * MIB, MIB))
    with little.server:
        yield little


def flipped(little: Served, chance: random.Random) -> tuple[bytes, int]:
    """The frames with one bit that is another, and the chunk it is in."""
    chunk = chance.choice(little.chunks)
    frames = bytearray(little.frames)
    frames[chunk.offset + chance.randrange(chunk.length)] ^= 1 << chance.randrange(8)
    return bytes(frames), chunk.number


def test_a_flipped_bit_in_a_frame_is_named_and_nothing_boots(little, little_disk):
    chance = random.Random(14)
    for _ in range(FLIPS):
        frames, number = flipped(little, chance)
        little.tree.put("base.zst", frames)
        try:
            brought(little_disk, little.write_list(), QUICK._replace(silence=0.1))
        except AgentError as error:
            assert f"the chunk for byte {MIB + number * MIB} arrived damaged" in str(error)
            assert nothing_boots(little_disk)
        else:  # a bit of the frame's head that means nothing to its content
            assert little_disk.read_bytes()[MIB : 7 * MIB] == little.base.read_bytes()


def test_a_flipped_bit_that_is_gone_the_next_time_is_repaired(little, little_disk):
    chance = random.Random(15)
    for _ in range(FLIPS):
        frames, _ = flipped(little, chance)
        little.tree.put("base.zst", frames)
        little.events.clear()

        def mended(_part: str, _done: int, _total: int) -> None:
            little.tree.put("base.zst", bytes(little.frames))

        with BlockDevice(str(little_disk)) as device:
            pull(device, little.write_list(), mended, patience=QUICK)
        assert little_disk.read_bytes()[MIB : 7 * MIB] == little.base.read_bytes()


def test_a_bit_that_turns_on_the_disk_is_found_and_written_again(little, little_disk):
    chance = random.Random(16)
    for _ in range(FLIPS):
        turns = [chance.randrange(2 * MIB, 7 * MIB)]
        with BlockDevice(str(little_disk)) as device:
            pull(device, little.write_list(), turning(little_disk, turns))
        assert not turns
        assert little_disk.read_bytes()[MIB : 7 * MIB] == little.base.read_bytes()


def test_a_disk_that_never_keeps_a_byte_is_named_and_does_not_boot(little, little_disk):
    with BlockDevice(str(little_disk)) as device, pytest.raises(AgentError) as refusal:
        pull(device, little.write_list(), turning(little_disk, [3 * MIB + 5] * ROUNDS))
    assert f"other bytes than were written at byte {3 * MIB}" in str(refusal.value)
    assert nothing_boots(little_disk)


def turning(disk: Path, turns: list[int]) -> Callable[[str, int, int], None]:
    """Turn a bit of the next byte in `turns`, before the first chunk is read back."""

    def tell(part: str, done: int, _total: int) -> None:
        if part == "verifying" and not done and turns:
            with disk.open("r+b") as file:
                file.seek(turns.pop())
                (byte,) = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 4]))

    return tell


class BadStart(BlockDevice):
    """A disk that keeps something else in its first block."""

    def write(self, offset: int, data: memoryview) -> None:
        """As told, but for one bit."""
        super().write(offset, data)
        if offset == 0:
            with Path(self.name).open("r+b") as file:
                file.seek(446)
                file.write(b"\x80")


def test_a_first_mib_that_is_another_is_taken_back(little, little_disk):
    with BadStart(str(little_disk)) as device, pytest.raises(AgentError, match="another first MiB"):
        pull(device, little.write_list(), lambda *_told: None)
    assert not any(little_disk.read_bytes()[:MIB])
