"""Pieces of a disk: what a manifest says of the base, and whether they fit beside each other."""

import msgspec
import pytest

from bakery.conductor.contents import Piece, base_piece, file_piece, fitting
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from tests.conductor import builds

MIB = 1 << 20


def with_extents(build, *extents, size=builds.BASE_BYTES):
    base = build.manifest.artifacts["base"]
    told = msgspec.structs.replace(base, extents=tuple(extents), size_bytes=size)
    manifest = msgspec.structs.replace(
        build.manifest, artifacts=build.manifest.artifacts | {"base": told}
    )
    return type(build)(build.directory, manifest)


@pytest.fixture
def build(tmp_path):
    return builds.build(tmp_path / "build")


def test_a_base_is_its_file_at_its_place_with_its_data(build):
    piece = base_piece(build, MIB)
    record = build.manifest.artifacts["base"]
    assert (piece.name, piece.path, piece.offset) == ("base", build.base, MIB)
    assert (piece.size_bytes, piece.end) == (builds.BASE_BYTES, MIB + builds.BASE_BYTES)
    assert (piece.digest, piece.data) == (record.digest, record.extents)


def test_a_base_of_which_no_extents_are_told_is_data_throughout(build):
    assert base_piece(with_extents(build), 0).data == (Extent(0, builds.BASE_BYTES),)


def test_extents_that_touch_are_one(build):
    told = with_extents(build, Extent(0, 10), Extent(10, 10))
    assert base_piece(told, 0).data == (Extent(0, 20),)
    last = Extent(builds.BASE_BYTES - 1, 1)
    assert base_piece(with_extents(build, last), 0).data == (last,)


@pytest.mark.parametrize("extent", [Extent(builds.BASE_BYTES - 1, 2), Extent(-1, 2)])
def test_data_that_cannot_be_in_the_base_is_refused(build, extent):
    with pytest.raises(BakeryError, match="lists data beyond its end") as caught:
        base_piece(with_extents(build, extent), 0)
    assert caught.value.hint == "run bakery build again"


@pytest.mark.parametrize("size", [builds.BASE_BYTES - 1, builds.BASE_BYTES + 1])
def test_a_base_of_another_size_is_refused(build, size):
    with pytest.raises(BakeryError, match=f"but its manifest says {size}"):
        base_piece(with_extents(build, size=size), 0)


def piece(name, offset, size):
    return Piece(name, None, offset, size, "", ())  # type: ignore[arg-type]


def test_pieces_are_in_the_order_of_the_disk_and_may_touch():
    one, two = piece("one", 0, 10), piece("two", 10, 10)
    assert fitting([two, one], 20) == (one, two)
    assert fitting([], 0) == ()


def test_a_byte_too_much_is_refused():
    with pytest.raises(BakeryError, match="one and two would overlap"):
        fitting([piece("two", 9, 10), piece("one", 0, 10)], 100)
    with pytest.raises(BakeryError, match="has 19 bytes, but 20 are needed") as caught:
        fitting([piece("one", 0, 10), piece("two", 10, 10)], 19)
    assert "root device hints" in caught.value.hint


def test_a_file_is_read_once_for_its_digest_and_data(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5000)
    found = file_piece("name", path, 7)
    assert (found.name, found.offset, found.size_bytes) == ("name", 7, 5000)
    assert found.data == (Extent(0, 5000),) and found.digest
