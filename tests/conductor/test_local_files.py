"""Files as the source of a disk: cut where they have to be, hashed on the way, and recognised."""

import os

import pytest

from bakery.conductor.contents import file_piece
from bakery.conductor.local_files import LocalFiles
from bakery.disk import digest
from bakery.host.errors import BakeryError

MIB = 1 << 20


@pytest.fixture
def sparse(tmp_path):
    """3 MiB and a bit: data in the first, none in the second, data to the end."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(os.urandom(8192))
        file.seek(2 * MIB + 4096)
        file.write(os.urandom(MIB + 10 - 4096))
    return path


def brought(files, wanted=None):
    """What is handed on, by its place on the disk; and how often there was a moment's pause."""
    got: dict[int, bytes] = {}
    ticks: list[int] = []
    files.bring(
        files.layout.rest if wanted is None else wanted,
        lambda part, view: got.__setitem__(part.at, bytes(view)),
        lambda: ticks.append(1),
    )
    return got, len(ticks)


@pytest.mark.parametrize("offset", [0, 512, MIB - 4096, MIB, 5 * MIB + 512])
def test_every_byte_of_data_is_in_one_part_and_lies_where_the_file_goes(sparse, offset):
    files = LocalFiles([file_piece("base", sparse, offset)])
    content = sparse.read_bytes()
    got, ticks = brought(files)
    assert ticks == 3  # one for each chunk that has data
    head = {part.at: files.content(part) for part in files.layout.head}
    assert all(at < MIB for at in head) and all(at >= MIB for at in got)
    disk = bytearray(offset + len(content))
    for at, data in (head | got).items():
        assert data == content[at - offset : at - offset + len(data)]
        disk[at : at + len(data)] = data
    assert disk[offset:] == content
    numbers = [part.number for part in (*files.layout.head, *files.layout.rest)]
    assert numbers == list(range(len(numbers)))


def test_only_what_is_wanted_is_handed_on_but_all_is_hashed(sparse):
    files = LocalFiles([file_piece("base", sparse, 5 * MIB)])
    *_, last = files.layout.rest
    got, _ = brought(files, [last])
    assert list(got) == [last.at]
    assert files.is_in(last, memoryview(got[last.at]))


def test_what_was_handed_on_is_recognised_and_nothing_else(sparse):
    files = LocalFiles([file_piece("base", sparse, MIB)])
    got, _ = brought(files)
    for part in files.layout.rest:
        data = bytearray(got[part.at])
        assert files.is_in(part, memoryview(data))
        data[-1] ^= 1
        assert not files.is_in(part, memoryview(data))


def test_what_was_not_handed_on_is_not_recognised(sparse):
    files = LocalFiles([file_piece("base", sparse, MIB)])
    part = files.layout.rest[0]
    assert not files.is_in(part, memoryview(sparse.read_bytes()[: part.length]))


def test_several_files_have_numbers_of_their_own(sparse, tmp_path):
    (tmp_path / "full").write_bytes(os.urandom(MIB + 7))
    pieces = [
        file_piece("full", tmp_path / "full", 0),
        file_piece("base", sparse, 4 * MIB),
    ]
    files = LocalFiles(pieces)
    parts = [*files.layout.head, *files.layout.rest]
    assert len({part.number for part in parts}) == len(parts)
    assert files.layout.end == pieces[1].end
    got, _ = brought(files)
    assert got[MIB] == (tmp_path / "full").read_bytes()[MIB:]
    assert got[4 * MIB] == sparse.read_bytes()[:8192]


@pytest.mark.parametrize("full", [True, False])
def test_a_file_of_either_kind_of_digest_is_found_out_when_it_changed(tmp_path, sparse, full):
    path = sparse
    if full:
        path = tmp_path / "full"
        path.write_bytes(os.urandom(2 * MIB + 77))
    piece = file_piece("one", path, MIB)
    assert piece.digest.startswith(digest.PLAIN) == full
    brought(LocalFiles([piece]))
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(BakeryError, match="is not what its manifest says") as caught:
        brought(LocalFiles([piece]))
    assert caught.value.hint == "run bakery build again"


def test_a_file_that_shrank_is_named(sparse):
    piece = file_piece("base", sparse, MIB)
    os.truncate(sparse, 2 * MIB + 8192)
    with pytest.raises(BakeryError, match="sparse shrank while it was being read"):
        brought(LocalFiles([piece]))
