import hashlib
import os
import random

import pytest

from bakery.host.errors import BakeryError
from bakery.openstack.glance.body import BLOCK_BYTES, Body, digest
from tests.openstack.glance.test_fetch import SlowAtFirst

MIB = 1 << 20


@pytest.fixture
def sparse(tmp_path):
    """A file of 9 MiB and a bit, most of it holes, with data across the borders of blocks."""
    path = tmp_path / "sparse"
    noise = random.Random(1)
    with path.open("wb") as file:
        file.truncate(9 * MIB + 123)
        for offset, length in ((0, 10), (MIB - 5, 10), (3 * MIB, 2 * MIB), (9 * MIB, 123)):
            file.seek(offset)
            file.write(noise.randbytes(length))
    return path


def test_the_pieces_are_the_file(sparse):
    body = Body(sparse)
    assert b"".join(bytes(piece) for piece in body) == sparse.read_bytes()
    assert len(body) == sparse.stat().st_size


def test_the_digest_is_that_of_the_whole_file(sparse):
    whole = sparse.read_bytes()
    body = Body(sparse)
    for _ in body:
        pass
    assert body.hexdigest() == hashlib.sha512(whole).hexdigest() == digest(sparse)
    assert digest(sparse, "sha256") == hashlib.sha256(whole).hexdigest()


def test_holes_are_not_read(sparse, monkeypatch):
    read = []
    real = os.preadv

    def counted(descriptor, buffers, offset):
        read.append(sum(map(len, buffers)))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    digest(sparse)
    assert 0 < sum(read) < 3 * MIB


def test_holes_share_one_block(tmp_path):
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    first, *rest = Body(path)
    assert {piece.obj is first.obj for piece in rest} == {True}


def test_no_piece_is_larger_than_a_block(sparse):
    assert max(map(len, Body(sparse))) == BLOCK_BYTES


def test_a_body_is_gone_through_once(sparse):
    body = Body(sparse)
    next(iter(body))
    with pytest.raises(BakeryError, match="sent in part"):
        next(iter(body))


def test_a_body_that_was_not_sent_to_its_end_has_no_digest(sparse):
    body = Body(sparse)
    pieces = iter(body)
    next(pieces)
    with pytest.raises(BakeryError, match="not sent to the end"):
        body.hexdigest()


def test_progress_ends_at_the_whole_and_last_comes_before_the_last_piece(sparse):
    seen: list[tuple[int, int]] = []
    order: list[object] = []
    body = Body(
        sparse, lambda done, total: seen.append((done, total)), lambda: order.append("last")
    )
    for piece in body:
        order.append(len(piece))  # noqa: PERF401 - what comes between counts
    size = sparse.stat().st_size
    assert seen[-1] == (size, size)
    assert order[-2:] == ["last", size % BLOCK_BYTES]
    assert order.count("last") == 1


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(BakeryError, match="is empty"):
        Body(tmp_path / "empty")


def test_a_file_that_becomes_shorter_is_told(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096 * 4)
    body = Body(path)
    pieces = iter(body)
    next(pieces)
    os.truncate(path, 2 * BLOCK_BYTES)
    with pytest.raises(BakeryError, match="shrank"):
        list(pieces)


def test_a_file_that_is_gone_is_told_as_such_and_not_as_a_network_failure(tmp_path):
    with pytest.raises(BakeryError, match="cannot be read"):
        Body(tmp_path / "gone")


def test_blocks_are_hashed_in_their_order(sparse, monkeypatch):
    wanted = hashlib.sha512(sparse.read_bytes()).hexdigest()
    new = hashlib.new
    monkeypatch.setattr(hashlib, "new", lambda *words, **more: SlowAtFirst(new(*words, **more)))
    assert digest(sparse) == wanted
