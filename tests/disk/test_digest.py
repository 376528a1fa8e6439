import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk import digest
from bakery.disk.extents import total
from bakery.errors import BakeryError

MIB = 1 << 20


def sparse(path: Path, size: int, pieces: list[tuple[int, bytes]]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            file.seek(offset)
            file.write(data)
    return path


def by_definition(content: bytes) -> str:
    chunks = [content[i : i + MIB] for i in range(0, len(content), MIB)]
    return hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in chunks)).hexdigest()


def test_a_file_without_holes_has_the_plain_sha256(tmp_path: Path):
    file = sparse(tmp_path / "f", 3, [(0, b"abc")])
    assert digest.fingerprint(file).digest == "sha256:" + hashlib.sha256(b"abc").hexdigest()


def test_an_empty_file_has_the_sha256_of_nothing(tmp_path: Path):
    file = sparse(tmp_path / "f", 0, [])
    made = digest.fingerprint(file)
    assert made.digest == "sha256:" + hashlib.sha256(b"").hexdigest()
    assert made.extents == ()


def test_a_file_with_holes_has_the_digest_of_its_chunk_digests(tmp_path: Path):
    size = 5 * MIB + 4096
    file = sparse(tmp_path / "f", size, [(MIB - 10, b"x" * 20), (4 * MIB, b"y" * 9000)])
    made = digest.fingerprint(file)
    assert made.size_bytes == size
    assert made.digest == "sha256-1m:" + by_definition(file.read_bytes())
    assert total(made.extents) < size


def test_a_file_of_one_hole_needs_no_data(tmp_path: Path):
    file = sparse(tmp_path / "f", 3 * MIB + 1, [])
    made = digest.fingerprint(file)
    assert made.extents == ()
    assert made.digest == "sha256-1m:" + by_definition(bytes(3 * MIB + 1))


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(1, 3 * MIB),
    pieces=st.lists(st.tuples(st.integers(0, 3 * MIB), st.binary(min_size=1, max_size=50))),
)
def test_the_digest_does_not_depend_on_where_the_holes_lie(
    tmp_path_factory: pytest.TempPathFactory, size: int, pieces: list[tuple[int, bytes]]
):
    folder = tmp_path_factory.mktemp("digest")
    inside = [(o, d[: size - o]) for o, d in pieces if o < size]
    holey = sparse(folder / "holey", size, inside)
    full = folder / "full"
    full.write_bytes(holey.read_bytes())
    assert digest.matches(full, digest.fingerprint(holey).digest)
    assert digest.matches(holey, digest.fingerprint(full).digest)


def test_one_flipped_bit_is_found(tmp_path: Path):
    file = sparse(tmp_path / "f", 4 * MIB, [(2 * MIB, b"data")])
    known = digest.fingerprint(file).digest
    assert digest.matches(file, known)
    with file.open("r+b") as handle:
        handle.seek(3 * MIB)
        handle.write(b"\1")
    assert not digest.matches(file, known)


def test_an_unknown_kind_of_digest_is_refused(tmp_path: Path):
    file = sparse(tmp_path / "f", 1, [(0, b"a")])
    with pytest.raises(BakeryError, match="md5"):
        digest.matches(file, "md5:00")


def test_progress_ends_at_the_whole(tmp_path: Path):
    file = sparse(tmp_path / "f", 8 * MIB, [(0, b"a" * 5000), (6 * MIB, b"b" * 5000)])
    told: list[tuple[int, int]] = []
    digest.fingerprint(file, lambda done, whole: told.append((done, whole)))
    assert told[-1][0] == told[-1][1] > 0
    assert file.stat().st_blocks * 512 < 8 * MIB
