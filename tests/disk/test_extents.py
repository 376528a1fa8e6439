"""Extents: where there is data, and nothing but arithmetic on it."""

import itertools
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.extents import Extent, clipped, joined, merged, of_file, total, translated

SPACE = 200
BLOCK = 65536

extent = st.builds(Extent, st.integers(0, SPACE), st.integers(0, 40))
extents = st.lists(extent, max_size=12)
solid = st.builds(Extent, st.integers(0, SPACE), st.integers(1, 40))


@st.composite
def places(draw):
    """A volume: up to four ranges of the disk that do not overlap, in any order."""
    marks = sorted(draw(st.sets(st.integers(0, SPACE), min_size=2, max_size=8)))
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    return draw(st.permutations([Extent(first, last - first) for first, last in pairs]))


def covered(items) -> set[int]:
    """The byte numbers that extents hold."""
    return {byte for item in items for byte in range(item.offset, item.end)}


def assert_is_extent_list(items) -> None:
    """Sorted, without overlap, without touching neighbours and without empty ones."""
    assert all(item.length > 0 for item in items)
    assert all(first.end < second.offset for first, second in itertools.pairwise(items))


def test_an_extent_ends_behind_its_last_byte():
    assert Extent(10, 5).end == 15


def test_in_json_an_extent_is_a_pair():
    assert msgspec.json.encode(Extent(10, 5)) == b"[10,5]"
    assert msgspec.json.decode(b"[10,5]", type=Extent) == Extent(10, 5)


@given(extents)
def test_merging_keeps_every_byte_and_adds_none(items):
    result = merged(items)
    assert_is_extent_list(result)
    assert covered(result) == covered(items)
    assert total(result) == len(covered(items))


@given(extents, st.integers(0, 20))
def test_merging_over_gaps_adds_only_bytes_in_gaps_that_small(items, gap):
    result = merged(items, gap)
    assert covered(result) >= covered(items)
    assert all(b.offset - a.end > gap for a, b in itertools.pairwise(result))
    for piece in result:
        assert {piece.offset, piece.end - 1} <= covered(items)


def test_a_gap_is_joined_up_to_its_size():
    assert merged([Extent(0, 1), Extent(5, 1)], gap=4) == (Extent(0, 6),)
    assert merged([Extent(0, 1), Extent(5, 1)], gap=3) == (Extent(0, 1), Extent(5, 1))


def test_an_extent_inside_another_changes_nothing():
    assert merged([Extent(0, 100), Extent(10, 5), Extent(50, 50)]) == (Extent(0, 100),)


@given(extents, solid)
def test_clipping_keeps_what_lies_in_the_window(items, window):
    assert covered(clipped(items, window)) == covered(items) & covered([window])


@given(extents, places())
def test_a_volume_sees_the_disks_data_at_its_own_offsets(items, place):
    address = [byte for piece in place for byte in range(piece.offset, piece.end)]
    expected = {index for index, byte in enumerate(address) if byte in covered(items)}
    result = translated(items, place)
    assert_is_extent_list(result)
    assert covered(result) == expected


def test_a_sparse_file_tells_its_data(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(64 * BLOCK)
        for number in (3, 4, 40):
            os.pwrite(file.fileno(), b"x" * BLOCK, number * BLOCK)
    with path.open("rb") as file:
        found = list(of_file(file.fileno()))
    assert found == [Extent(3 * BLOCK, 2 * BLOCK), Extent(40 * BLOCK, BLOCK)]


@pytest.mark.parametrize("size", [0, BLOCK])
def test_a_file_of_holes_has_no_extents(tmp_path, size):
    path = tmp_path / "empty"
    path.touch()
    os.truncate(path, size)
    with path.open("rb") as file:
        assert list(of_file(file.fileno())) == []


def test_a_full_file_is_one_extent(tmp_path):
    path = tmp_path / "full"
    path.write_bytes(b"x" * 100_000)
    with path.open("rb") as file:
        assert list(of_file(file.fileno())) == [Extent(0, 100_000)]


def test_data_behind_the_asked_size_is_left_out(tmp_path):
    path = tmp_path / "full"
    path.write_bytes(b"x" * 3 * BLOCK)
    with path.open("rb") as file:
        assert list(of_file(file.fileno(), size=BLOCK)) == [Extent(0, BLOCK)]


def test_data_before_the_asked_start_is_left_out(tmp_path):
    path = tmp_path / "full"
    path.write_bytes(b"x" * 3 * BLOCK)
    with path.open("rb") as file:
        assert list(of_file(file.fileno(), start=5)) == [Extent(5, 3 * BLOCK - 5)]
        assert list(of_file(file.fileno(), start=3 * BLOCK)) == []
        assert list(of_file(file.fileno(), size=BLOCK, start=BLOCK)) == []


def test_data_that_begins_at_the_asked_size_is_no_empty_extent(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(4 * BLOCK)
        os.pwrite(file.fileno(), b"x" * BLOCK, 2 * BLOCK)
    with path.open("rb") as file:
        assert list(of_file(file.fileno(), size=2 * BLOCK)) == []
        assert list(of_file(file.fileno(), size=2 * BLOCK + 1)) == [Extent(2 * BLOCK, 1)]


def test_a_file_that_cannot_be_searched_is_no_file_of_holes():
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="seek"):
        list(of_file(reading, size=1))
    os.close(reading)
    os.close(writing)


def test_neighbours_in_their_order_are_joined_where_they_touch():
    assert joined([Extent(5, 5), Extent(10, 1), Extent(11, 2), Extent(0, 5), Extent(5, 1)]) == [
        Extent(5, 8),
        Extent(0, 6),
    ]
    assert joined([Extent(0, 5), Extent(6, 1), Extent(3, 1)]) == [
        Extent(0, 5),
        Extent(6, 1),
        Extent(3, 1),
    ]
    assert joined([]) == []


def test_what_lies_beside_the_window_is_no_empty_extent():
    items = [Extent(0, 5), Extent(5, 5), Extent(10, 5)]
    assert clipped(items, Extent(5, 5)) == (Extent(5, 5),)
    assert clipped([Extent(0, 20)], Extent(5, 5)) == (Extent(5, 5),)
