"""The stream of a verified archive, read in any pieces."""

from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.recovery.open import opened
from tests.recovery.pairs import files, sealed

TAR = files(("a", bytes(range(256)) * 3000))


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("size", [1000, 131_072, 1 << 20])
def test_it_is_read_in_any_pieces_and_ends(age, tmp_path, size):
    archive = sealed(tmp_path / "a", TAR, age)
    with opened(archive, age.private) as stream:
        assert stream.readable()
        pieces = list(iter(lambda: stream.read(size), b""))
        assert b"".join(pieces) == TAR
        assert {len(piece) for piece in pieces[:-1]} <= {size}
        assert stream.read(1) == b""


def test_no_file_stays_open(age, tmp_path):
    archive = sealed(tmp_path / "a", TAR, age)
    with opened(archive, age.private) as stream:
        stream.read(10)
    before = descriptors()
    with opened(archive, age.private) as stream:
        stream.read(10)
    (tmp_path / "folder").mkdir()
    for _ in range(3):
        with (
            pytest.raises(BakeryError, match="is not a file") as refused,
            opened(tmp_path / "folder", age.private),
        ):
            pytest.fail("it was opened")
        assert refused.value.hint == "name the file that --recovery wrote"
    assert descriptors() == before
    with (
        pytest.raises(BakeryError, match="none cannot be read: No such file"),
        opened(tmp_path / "none", age.private),
    ):
        pytest.fail("it was opened")
