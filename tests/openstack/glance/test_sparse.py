import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk import extents
from bakery.openstack.glance.sparse import BLOCK_BYTES, GATHER_BYTES, SparseFile

MIB = 1 << 20


def holes(path):
    with path.open("rb") as file:
        return path.stat().st_size - extents.total(extents.of_file(file.fileno()))


def in_pieces(content, sizes):
    offset = 0
    while offset < len(content):
        size = next(sizes)
        yield content[offset : offset + size]
        offset += size


def sizes_of(seed):
    rolls = random.Random(seed)
    while True:
        yield rolls.choice([1, 100, 4095, 4096, 4097, 65536, 1 << 20, 3 << 20])


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_in_any_pieces_is_there_byte_for_byte_and_zeros_are_holes(tmp_path, seed):
    rolls = random.Random(seed)
    content = b"".join(
        rolls.randbytes(BLOCK_BYTES) if rolls.random() < 0.3 else bytes(BLOCK_BYTES * 20)
        for _ in range(300)
    ) + bytes(77)
    path = tmp_path / "file"
    with SparseFile(path) as file:
        for piece in in_pieces(content, sizes_of(seed)):
            file.write(piece)
        assert file.size_bytes == len(content)
    assert path.read_bytes() == content
    assert holes(path) > len(content) // 2


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9000)), max_size=8), st.integers(1, 20000))
def test_a_file_that_was_left_grows_on_from_any_byte(tmp_path_factory, parts, cut):
    content = b"".join((b"x" if filled else b"\0") * size for filled, size in parts)
    path = tmp_path_factory.mktemp("sparse") / "file"
    with SparseFile(path) as file:
        file.write(content[:cut])
    with SparseFile(path) as file:
        file.write(content[cut:])
    assert path.read_bytes() == content


def test_after_a_kill_the_size_is_what_the_file_holds(tmp_path):
    path = tmp_path / "file"
    content = os.urandom(2 * GATHER_BYTES) + bytes(2 * GATHER_BYTES) + os.urandom(GATHER_BYTES)
    file = SparseFile(path)
    for end in range(0, len(content), 300_000):
        file.write(content[end : end + 300_000])
        size = path.stat().st_size  # what another process would find now
        assert path.read_bytes() == content[:size]
        assert file.size_bytes - size < GATHER_BYTES
    file.flush()
    assert path.read_bytes() == content


def test_zeros_alone_are_one_hole(tmp_path):
    path = tmp_path / "file"
    with SparseFile(path) as file:
        for _ in range(20):
            file.write(bytes(MIB))
    assert path.stat().st_size == 20 * MIB
    assert path.stat().st_blocks == 0


def test_a_file_begun_anew_keeps_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old" * 1000)
    with SparseFile(path) as file:
        file.write(b"more")
        file.restart()
        file.write(bytes(5000) + b"new")
    assert path.read_bytes() == bytes(5000) + b"new"


def test_a_file_may_be_read_by_all_and_written_by_its_owner(tmp_path):
    before = os.umask(0)
    try:
        with SparseFile(tmp_path / "file"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o644
