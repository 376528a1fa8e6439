"""A packed image comes onto a disk whole, whatever happens on the way, or nothing of it boots."""

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bakery.agent import image
from bakery.agent.disk import BlockDevice
from bakery.agent.errors import AgentError
from bakery.agent.pull import Order, Piece, pull
from bakery.disk import packed
from bakery.disk.packing import Packer
from bakery.serve.http import HttpServer
from bakery.serve.tree import Tree

MIB = 1 << 20
SIZE = 40 * MIB + 8192
DISK = 64 * MIB
TABLE = bytes(440) + b"\x55" * 72
PLACES = (0, 3 * MIB - 4096, 7 * MIB, 12 * MIB, 13 * MIB, 14 * MIB, 30 * MIB, SIZE - 8192)


def base(path: Path) -> Path:
    source = random.Random(3)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in PLACES:
            file.seek(place)
            file.write(source.randbytes(min(700_000, SIZE - place)))
    return path


def packing(image_file: Path) -> tuple[image.Index, bytes]:
    frames = io.BytesIO()
    size = image_file.stat().st_size
    with image_file.open("rb", buffering=0) as source:
        packer = Packer(source, size, frames)
        packer.take(size)
        index, _ = packer.finish()
        packer.close()
    return image.parse(packed.encode(index)), frames.getvalue()


class Served:
    """A packed image, and a partition table, on a real server."""

    def __init__(self, folder: Path) -> None:
        self.base = base(folder / "base")
        self.index, frames = packing(self.base)
        self.frames = bytearray(frames)
        table = folder / "table"
        table.write_bytes(TABLE)
        self.table, table_frames = packing(table)
        self.tree = Tree()
        self.tree.put("base.zst", frames)
        self.tree.put("table.zst", table_frames)
        self.events: list[Any] = []
        self.server = HttpServer("127.0.0.1", self.tree, self.events.append)

    def order(self, place: int = MIB) -> Order:
        pieces = [Piece(f"{self.server.url}/base.zst", self.index, place)]
        if place:
            pieces.append(Piece(f"{self.server.url}/table.zst", self.table, 0))
        return Order(pieces)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    with served.server:
        yield served


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk that had another system on it."""
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(DISK))
    return path


def told(_part: str, _done: int, _total: int) -> None:
    pass


def brought(disk: Path, order: Order) -> bytes:
    with BlockDevice(str(disk)) as device:
        pull(device, order, told)
    return disk.read_bytes()


def test_the_image_is_on_the_disk_and_nothing_of_what_was_there_before(served, disk):
    content = brought(disk, served.order())
    assert content[:MIB] == TABLE + bytes(MIB - len(TABLE))
    assert content[MIB : MIB + SIZE] == served.base.read_bytes()
    assert not any(content[DISK - MIB :]), "an old copy of a GPT would be believed"


def test_a_whole_disk_brings_its_own_first_mib(served, disk):
    assert brought(disk, served.order(place=0))[:SIZE] == served.base.read_bytes()


def test_a_disk_too_small_is_left_alone(served, disk):
    os.truncate(disk, SIZE)
    before = disk.read_bytes()
    with pytest.raises(AgentError, match=f"{SIZE} bytes, and {SIZE + MIB}"):
        brought(disk, served.order())
    assert disk.read_bytes() == before


def test_only_frames_with_data_are_fetched(served, disk):
    brought(disk, served.order())
    served.server.stop()  # an answer is counted when it has gone out
    sent = sum(event.sent_bytes for event in served.events)
    every = (*served.index.chunks, *served.table.chunks)
    assert sent == sum(chunk.length for chunk in every)


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_on_the_server_leaves_nothing_that_boots(served, disk, seed, monkeypatch):
    monkeypatch.setattr("bakery.agent.pull.PATIENCE_SECONDS", 0.5)
    chance = random.Random(seed)
    chunk = chance.choice(served.index.chunks[1:])
    served.frames[chunk.offset + chance.randrange(chunk.length)] ^= 1 << chance.randrange(8)
    served.tree.put("base.zst", bytes(served.frames))
    try:
        content = brought(disk, served.order())
    except AgentError as error:
        assert "cannot be fetched" in str(error)
        assert not any(disk.read_bytes()[: 64 << 10])
    else:
        assert content[MIB : MIB + SIZE] == served.base.read_bytes()


def test_a_file_that_is_not_there_is_told_at_once(served, disk):
    served.tree.remove("base.zst")
    with pytest.raises(AgentError, match="HTTP 404"):
        brought(disk, served.order())


def test_what_an_earlier_start_wrote_is_not_fetched_again(served, disk, monkeypatch):
    monkeypatch.setattr("bakery.agent.pull.PATIENCE_SECONDS", 0.5)
    good, half = bytes(served.frames), served.index.chunks[len(served.index.chunks) // 2]
    served.frames[half.offset + 20 : half.offset + 60] = bytes(40)
    served.tree.put("base.zst", bytes(served.frames))
    with pytest.raises(AgentError):
        brought(disk, served.order())
    served.events.clear()
    served.tree.put("base.zst", good)
    assert brought(disk, served.order())[MIB : MIB + SIZE] == served.base.read_bytes()
    served.server.stop()
    sent = sum(event.sent_bytes for event in served.events)
    assert sent < sum(chunk.length for chunk in served.index.chunks) / 2
