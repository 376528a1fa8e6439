"""A packed image comes onto a disk whole, or nothing of it boots."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bakery.disk.digest import of_chunks
from bakery.node.agent.errors import AgentError
from tests.node.agent.served import MIB, QUICK, SIZE, TABLE, Served, brought

DISK = 64 * MIB


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


def test_the_image_is_on_the_disk_and_nothing_of_what_was_there_before(served, disk):
    content = brought(disk, served.write_list())
    assert content[:MIB] == TABLE + bytes(MIB - len(TABLE))
    assert content[MIB : MIB + SIZE] == served.base.read_bytes()
    assert not any(content[DISK - MIB :]), "an old copy of a GPT would be believed"


def test_a_whole_disk_brings_its_own_first_mib(served, disk):
    assert brought(disk, served.write_list(place=0))[:SIZE] == served.base.read_bytes()


def test_a_disk_too_small_is_left_alone(served, disk):
    os.truncate(disk, SIZE)
    before = disk.read_bytes()
    with pytest.raises(AgentError, match=f"{SIZE} bytes, but {SIZE + MIB}"):
        brought(disk, served.write_list())
    assert disk.read_bytes() == before


def test_only_frames_with_data_are_fetched(served, disk):
    brought(disk, served.write_list())
    served.server.stop()  # an answer is counted when it has gone out
    sent = sum(event.sent_bytes for event in served.events)
    assert sent == served.data_bytes


def test_a_file_that_is_not_there_is_told_at_once(served, disk):
    served.tree.remove("base.zst")
    with pytest.raises(AgentError, match="HTTP 404"):
        brought(disk, served.write_list())


def test_a_frame_that_holds_another_first_chunk_never_ends_on_a_disk_that_boots(served, disk):
    """As a build could be that was put together wrongly: all its frames are those it signed."""
    first, *rest = served.base_index.chunks
    other = msgspec.structs.replace(first, sha256="00" * 32)
    known = ((chunk.number, bytes.fromhex(chunk.sha256)) for chunk in (other, *rest))
    served.base_index = msgspec.structs.replace(
        served.base_index, chunks=(other, *rest), digest=of_chunks(SIZE, known)
    )
    with pytest.raises(AgentError, match="for byte 0 holds a different"):
        brought(disk, served.write_list(place=0))
    boots = 1 << 16  # behind it lies the note of what was written
    assert disk.read_bytes()[:boots] == bytes(boots)


def test_what_an_earlier_start_wrote_is_not_fetched_again(served, disk):
    good, half = bytes(served.frames), served.chunks[len(served.chunks) // 2]
    served.frames[half.offset + 20 : half.offset + 60] = bytes(40)
    served.tree.put("base.zst", bytes(served.frames))
    with pytest.raises(AgentError):
        brought(disk, served.write_list(), QUICK._replace(silence=3))
    served.events.clear()
    served.tree.put("base.zst", good)
    assert brought(disk, served.write_list())[MIB : MIB + SIZE] == served.base.read_bytes()
    served.server.stop()
    sent = sum(event.sent_bytes for event in served.events)
    assert sent < served.data_bytes / 2
