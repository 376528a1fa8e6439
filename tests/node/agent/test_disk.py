"""A file in a disk's place, in whole blocks and in parts of them; a disk's own calls by ioctl."""

import fcntl
import mmap
import os
import stat
import struct
from pathlib import Path

import pytest

from bakery.node.agent.disk import BLKDISCARD, BLKZEROOUT, BLOCK, BlockDevice
from bakery.node.agent.errors import AgentError

SIZE = 64 * BLOCK


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(SIZE))
    return path


def page(content: bytes) -> memoryview:
    room = mmap.mmap(-1, max(BLOCK, len(content)))
    room[: len(content)] = content
    return memoryview(room)[: len(content)]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_disk_tells_its_name_and_size_and_is_closed(path):
    before = descriptors()
    with BlockDevice(str(path)) as device:
        assert (device.name, device.size_bytes, device.reads_ahead) == (str(path), SIZE, 1)
        assert descriptors() > before
    assert descriptors() == before


@pytest.mark.parametrize("at", [0, BLOCK, SIZE - 2 * BLOCK, 100, BLOCK + 1])
@pytest.mark.parametrize("length", [2 * BLOCK, BLOCK - 1, 1])
def test_what_is_written_is_there_and_nothing_else_is_touched(path, at, length):
    before, content = path.read_bytes(), os.urandom(length)
    with BlockDevice(str(path)) as device:
        device.write(at, page(content))
        target = page(bytes(length))
        assert device.read_into(at, target) == 0
        device.wait(0)
        assert bytes(target) == content
    assert path.read_bytes() == before[:at] + content + before[at + length :]


def test_whole_blocks_pass_by_the_page_cache(path, monkeypatch):
    used = []

    def write(descriptor, views, at):
        used.append(descriptor)
        return len(views[0])

    monkeypatch.setattr(os, "pwritev", write)
    with BlockDevice(str(path)) as device:
        for at, length in ((BLOCK, BLOCK), (1, BLOCK), (BLOCK, 1)):
            device.write(at, page(bytes(length)))
        assert used == [device._direct, device._file, device._file]


def test_what_was_taken_in_part_is_gone_on_with(path, monkeypatch):
    taken = []

    def write(_descriptor, views, at):
        taken.append((at, len(views[0])))
        return min(BLOCK, len(views[0]))

    monkeypatch.setattr(os, "pwritev", write)
    with BlockDevice(str(path)) as device:
        device.write(BLOCK, page(bytes(3 * BLOCK)))
    assert taken == [(BLOCK, 3 * BLOCK), (2 * BLOCK, 2 * BLOCK), (3 * BLOCK, BLOCK)]


@pytest.mark.parametrize(("at", "length"), [(0, BLOCK), (3 * BLOCK, 10 * BLOCK), (5, 10)])
def test_a_range_is_made_zeros(path, at, length):
    before = path.read_bytes()
    with BlockDevice(str(path)) as device:
        device.zero(at, length)
    assert path.read_bytes() == before[:at] + bytes(length) + before[at + length :]


def test_zeros_of_a_file_are_holes(path):
    with BlockDevice(str(path)) as device:
        device.zero(0, SIZE)
        device.zero(0, 0)
        device.discard()
    assert (path.stat().st_size, path.stat().st_blocks) == (SIZE, 0)


def test_a_disk_clears_itself(path, monkeypatch):
    asked = []
    monkeypatch.setattr(stat, "S_ISBLK", lambda _mode: True)
    monkeypatch.setattr(fcntl, "ioctl", lambda _fd, *words: asked.append(words))
    with BlockDevice(str(path)) as device:
        device.zero(BLOCK, 2 * BLOCK)
        device.discard()
    assert asked == [
        (BLKZEROOUT, struct.pack("QQ", BLOCK, 2 * BLOCK)),
        (BLKDISCARD, struct.pack("QQ", 0, SIZE)),
    ]


def test_a_disk_that_cannot_discard_is_left_as_it_is_and_one_that_cannot_clear_is_told(
    path, monkeypatch
):
    def refuse(*_words):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(stat, "S_ISBLK", lambda _mode: True)
    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with BlockDevice(str(path)) as device:
        device.discard()
        with pytest.raises(AgentError, match=f"{path} cannot be cleared: Operation not supported"):
            device.zero(0, BLOCK)


def test_a_file_is_left_as_it_is_by_a_discard(path, monkeypatch):
    monkeypatch.setattr(fcntl, "ioctl", lambda *words: pytest.fail(str(words)))
    before = path.read_bytes()
    with BlockDevice(str(path)) as device:
        device.discard()
    assert path.read_bytes() == before


def test_all_is_brought_to_stable_storage(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    with BlockDevice(str(path)) as device:
        device.flush()
    assert synced == [path.stat().st_ino]

    def refuse(_fd):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with (
        BlockDevice(str(path)) as device,
        pytest.raises(AgentError, match="cannot be flushed: Input/output error"),
    ):
        device.flush()


def test_what_is_no_disk_is_told(tmp_path):
    with pytest.raises(AgentError, match="none cannot be opened: No such file"):
        BlockDevice(str(tmp_path / "none"))


def test_behind_the_end_there_is_nothing(path):
    with (
        BlockDevice(str(path)) as device,
        pytest.raises(AgentError, match="cannot be read: unexpected end"),
    ):
        device.read_into(SIZE - BLOCK, page(bytes(2 * BLOCK)))


def test_a_filesystem_that_reads_by_the_cache_alone_serves(path, monkeypatch):
    real = os.open

    def refuse(name, flags):
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(name, flags)

    monkeypatch.setattr(os, "open", refuse)
    before = descriptors()
    with BlockDevice(str(path)) as device:
        device.write(0, page(b"x" * BLOCK))
    assert path.read_bytes()[:BLOCK] == b"x" * BLOCK
    assert descriptors() == before


def test_a_range_that_cannot_be_a_hole_is_told(path):
    with (
        BlockDevice(str(path)) as device,
        pytest.raises(AgentError, match="cannot be cleared: Invalid argument"),
    ):
        device.zero(0, -1)
