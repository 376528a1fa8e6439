import os

import pytest

from bakery.disk import digest
from bakery.host.errors import BakeryError
from bakery.host.workdir import Stamp
from bakery.openstack.glance.pieces import Piece
from bakery.openstack.glance.unchanged import safe, still, verified

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def piece(tmp_path):
    file = tmp_path / "atomic-base"
    file.write_bytes(CONTENT)
    found = digest.fingerprint(file)
    return Piece(
        role="base", name="atomic", file=file, size_bytes=found.size_bytes, digest=found.digest,
        disk_format="ami", container_format="ami",
    )  # fmt: skip


def test_a_file_as_the_manifest_has_it_passes_and_its_stamp_is_kept(piece):
    assert verified([piece]) == {piece.file: Stamp.of(piece.file)}


def test_another_byte_is_refused_by_name(piece):
    piece.file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(BakeryError, match="atomic-base is not what its manifest describes"):
        verified([piece])


def test_another_size_is_refused_without_reading_the_file(piece, monkeypatch):
    os.truncate(piece.file, 10)
    monkeypatch.setattr(digest, "matches", None)  # whatever calls it fails
    with pytest.raises(BakeryError, match="not what its manifest"):
        verified([piece])


def test_a_file_that_is_gone_is_told(piece):
    piece.file.unlink()
    with pytest.raises(BakeryError, match="cannot be read"):
        verified([piece])


def test_a_file_written_later_is_not_still_the_same(piece):
    stamp = Stamp.of(piece.file)
    assert still(piece.file, stamp)
    piece.file.write_bytes(b"other")
    assert not still(piece.file, stamp)
    piece.file.unlink()
    assert not still(piece.file, stamp)


def test_a_base_that_is_no_image_is_refused(piece):
    piece.file.write_bytes(b"%PDF-1.4\n" + CONTENT)
    with pytest.raises(BakeryError, match="atomic-base is refused"):
        safe(piece)
