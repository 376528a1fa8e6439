import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk import digest
from bakery.disk.extents import Extent, total
from bakery.host.errors import BakeryError

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


def test_progress_counts_the_data_done_of_all_data(tmp_path: Path):
    holey = sparse(tmp_path / "holey", 8 * MIB, [(0, b"a" * 4096), (5 * MIB, b"b" * 8192)])
    told: list[tuple[int, int]] = []
    data = total(digest.fingerprint(holey, lambda *step: told.append(step)).extents)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[0][0] < told[-1][0] == data
    assert {whole for _, whole in told} == {data}
    full = sparse(tmp_path / "full", 2 * MIB + 1, [(0, b"x" * (2 * MIB + 1))])
    told.clear()
    digest.fingerprint(full, lambda *step: told.append(step))
    assert told == [(n, 2 * MIB + 1) for n in (MIB, 2 * MIB, 2 * MIB + 1)]


def test_what_progress_raises_ends_the_reading(tmp_path: Path):
    class EnoughError(Exception):
        pass

    def give_up(_done: int, _whole: int) -> None:
        raise EnoughError

    for size, content in ((8 * MIB, b"a"), (1, b"a")):
        with pytest.raises(EnoughError):
            digest.fingerprint(sparse(tmp_path / f"{size}", size, [(0, content)]), give_up)


def test_a_file_that_became_shorter_is_no_file_of_zeros(tmp_path: Path):
    file = sparse(tmp_path / "f", 100, [(0, b"a" * 100)])
    with file.open("rb") as opened:
        parts = [Extent(50, 51)]
        with pytest.raises(BakeryError, match="shrank"):
            digest.read_parts(opened.fileno(), 40, 100, parts)
        whole = digest.read_parts(opened.fileno(), 40, 70, [Extent(50, 50)])
    assert whole == bytes(10) + b"a" * 50 + bytes(10)


def test_extents_are_cut_between_chunks():
    assert digest.by_chunk([Extent(5, 2 * MIB), Extent(3 * MIB, MIB), Extent(4 * MIB, 1)]) == {
        0: [Extent(5, MIB - 5)],
        1: [Extent(MIB, MIB)],
        2: [Extent(2 * MIB, 5)],
        3: [Extent(3 * MIB, MIB)],
        4: [Extent(4 * MIB, 1)],
    }


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 7])
@pytest.mark.parametrize("known", [(), (0,), (1, 3), (2, 3, 4), (0, 1, 2, 3, 4, 5)])
def test_the_digests_of_chunks_make_that_of_the_file(size: int, known: tuple[int, ...]):
    content = bytearray(size)
    chunks = digest.Chunks(size)
    given = []
    for number in known:
        if number * MIB < size:
            content[number * MIB : (number + 1) * MIB] = b"x" * min(MIB, size - number * MIB)
            given.append((number, hashlib.sha256(content[number * MIB :][:MIB]).digest()))
            chunks.take(*given[-1])
    wanted = digest.CHUNKED + by_definition(bytes(content))
    assert digest.of_chunks(size, given) == chunks.digest() == wanted


def test_a_long_run_of_zeros_is_told_as_what_it_is():
    zero = hashlib.sha256(bytes(MIB)).digest()
    for count in ((1 << 15) - 1, (1 << 15) + 1, (1 << 16) + 3):
        wanted = digest.CHUNKED + hashlib.sha256(zero * count).hexdigest()
        assert digest.of_chunks(count * MIB, []) == wanted
        last = [(count - 1, zero)]
        assert digest.of_chunks(count * MIB, last) == wanted


@pytest.mark.parametrize(
    "known",
    [
        [(3, bytes(32))],
        [(-1, bytes(32))],
        [(1, bytes(32)), (1, bytes(32))],
        [(1, bytes(32)), (0, bytes(32))],
        [(0, bytes(31))],
        [(0, bytes(33))],
        [(0, b"")],
    ],
    ids=str,
)
def test_chunks_that_cannot_be_are_refused(known: list[tuple[int, bytes]]):
    with pytest.raises(ValueError, match="chunk"):
        digest.of_chunks(2 * MIB + 5, known)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_chunks_digest_is_a_sha256(length: int):
    chunks = digest.Chunks(2 * MIB)
    with pytest.raises(BakeryError, match="SHA-256"):
        chunks.take(0, bytes(length))


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[digest.Growing]:
    size = 7 * MIB + 100
    growing = digest.Growing(sparse(tmp_path / "grown", size, []), size)
    yield growing
    growing.close()


def written(growing: digest.Growing, offset: int, data: bytes) -> Extent:
    with growing.path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return Extent(offset, len(data))


def test_a_file_that_grows_has_the_fingerprint_of_the_whole(growing: digest.Growing):
    for start, length in ((0, 2 * MIB + 5), (2 * MIB + 5, 9), (3 * MIB - 7, 14), (7 * MIB, 100)):
        growing.landed(written(growing, start, (b"%d" % start * length)[:length]))
    assert growing.fingerprint() == digest.fingerprint(growing.path)


def test_digests_that_are_known_are_not_taken_again(growing: digest.Growing):
    """A wrong one shows that it is believed; the chunk that was altered since is read."""
    wrong = hashlib.sha256(b"another").digest()
    written(growing, 0, b"a" * 3 * MIB)
    growing.landed(Extent(0, 3 * MIB), {0: wrong, 1: wrong})
    written(growing, 7 * MIB, b"z" * 100)
    growing.landed(Extent(3 * MIB, 4 * MIB + 100), {7: wrong})
    written(growing, MIB + 5, b"altered")
    growing.altered(1)
    expected = digest.Chunks(7 * MIB + 100)
    for number, known in ((0, wrong), (7, wrong)):
        expected.take(number, known)
    content = growing.path.read_bytes()[MIB : 2 * MIB]
    expected.take(1, hashlib.sha256(content).digest())
    assert growing.fingerprint().digest == expected.digest()


def test_what_landed_is_brought_to_the_disk_meanwhile(
    growing: digest.Growing, monkeypatch: pytest.MonkeyPatch
):
    brought: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: brought.append(os.fstat(file).st_ino))
    growing.landed(written(growing, 0, b"a" * MIB))
    growing.landed(written(growing, MIB, b"b" * MIB), {})
    growing.fingerprint()
    assert brought == [growing.path.stat().st_ino] * 2


def test_a_failure_beside_the_writing_is_told_at_the_end(
    growing: digest.Growing, monkeypatch: pytest.MonkeyPatch
):
    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    growing.landed(written(growing, 0, b"a"))
    with pytest.raises(OSError, match="No space"):
        growing.fingerprint()


def test_given_up_it_reads_no_further(growing: digest.Growing, monkeypatch: pytest.MonkeyPatch):
    read: list[int] = []

    def slowly(_self: digest.Growing, numbers: range) -> None:
        time.sleep(0.02)
        read.extend(numbers)

    monkeypatch.setattr(digest.Growing, "_hash", slowly)
    for number in range(7):
        for _ in range(9):
            growing.landed(Extent(number * MIB, MIB))
    growing.close()
    assert len(read) < 63
    with pytest.raises(RuntimeError):
        growing.landed(Extent(0, MIB))
