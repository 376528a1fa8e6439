"""A raw disk copied and hashed in one pass, beside what two passes make of it."""

import os
from pathlib import Path

import pytest

from bakery.disk import blockdevs, digest
from bakery.disk.copy import copy, plain
from bakery.disk.extents import Extent, total
from bakery.host.errors import BakeryError

MIB = 1 << 20
SIZE = 70 * MIB + 1536
RANGES = {
    "the whole disk": [Extent(0, SIZE)],
    "a partition": [Extent(MIB, 40 * MIB)],
    "a partition that ends inside a chunk": [Extent(2 * MIB, 9 * MIB + 512)],
    "old sectors": [Extent(63 * 512, 45 * MIB + 512)],
    "segments in order": [Extent(MIB, 4 * MIB), Extent(40 * MIB, 20 * MIB)],
    "segments of odd length": [Extent(MIB, 4 * MIB + 512), Extent(40 * MIB, 20 * MIB)],
    "segments out of order": [Extent(40 * MIB, 20 * MIB), Extent(MIB, 4 * MIB)],
    "the end": [Extent(SIZE - 512, 512)],
    "nothing but a hole": [Extent(20 * MIB, MIB)],
}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "disk.raw"
    with path.open("wb") as file:
        file.truncate(SIZE)
        for start, length in ((0, 5000), (MIB + 512, 3 * MIB), (39 * MIB, 9 * MIB), (SIZE - 9, 9)):
            os.pwrite(file.fileno(), os.urandom(length), start)
        os.pwrite(file.fileno(), bytes(MIB), 50 * MIB)  # zeros that are written are no data
    return path


@pytest.fixture(scope="module")
def full(sparse: Path) -> Path:
    path = sparse.with_name("full.raw")
    path.write_bytes(sparse.read_bytes())
    return path


def content(disk: Path, ranges: list[Extent]) -> bytes:
    data = disk.read_bytes()
    return b"".join(data[r.offset : r.end] for r in ranges)


def copied(disk: Path, ranges: list[Extent], out: Path) -> tuple[str, digest.Fingerprint]:
    """The source's digest and the copy's fingerprint, as a build takes them."""
    growing = digest.Growing(out, total(ranges))
    told: list[int] = []

    def progress(done: int, whole: int) -> None:
        told.append(done)
        assert whole == total(ranges)

    source = blockdevs.image(disk, "raw")
    made = copy.copy_ranges(source, [disk], ranges, out, progress, growing.landed)
    found = growing.fingerprint()
    growing.close()
    assert told == sorted(told)
    assert told[-1] == total(ranges)
    return made, found


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("holes", [True, False])
def test_copy_and_digests_are_those_of_two_passes(
    sparse: Path, full: Path, tmp_path: Path, holes: bool, ranges: list[Extent]
):
    disk, out = sparse if holes else full, tmp_path / "base"
    made, found = copied(disk, ranges, out)
    assert out.read_bytes() == content(disk, ranges)
    assert made == digest.fingerprint(disk).digest
    again = digest.fingerprint(out)
    assert (found.size_bytes, found.digest) == (again.size_bytes, again.digest)
    assert total(found.extents) <= 14 * MIB, "zeros become holes"


def test_what_is_told_of_the_copy_holds_as_it_grows(sparse: Path, tmp_path: Path):
    out, ranges = tmp_path / "base", RANGES["a partition"]
    out.write_bytes(b"")
    os.truncate(out, total(ranges))
    wanted = content(sparse, ranges)
    told: list[Extent] = []

    def landed(extent: Extent, digests: dict[int, bytes] | None) -> None:
        told.append(extent)
        with out.open("rb") as file:
            assert (
                os.pread(file.fileno(), extent.length, extent.offset)
                == (wanted[extent.offset : extent.end])
            )
        assert digests is not None

    plain.copy(sparse, ranges, out, None, landed, told_bytes=MIB)
    assert len(told) > 3
    assert [extent.offset for extent in told[1:]] == [extent.end for extent in told[:-1]]


def test_a_source_that_shrinks_meanwhile_is_seen(full: Path, tmp_path: Path):
    disk, out = tmp_path / "disk.raw", tmp_path / "base"
    disk.write_bytes(full.read_bytes())
    out.write_bytes(b"")
    os.truncate(out, SIZE)

    def shrink(_extent: Extent, _digests: dict[int, bytes] | None) -> None:
        os.truncate(disk, 2 * MIB)

    with pytest.raises(BakeryError, match="shrank"):
        plain.copy(disk, [Extent(0, SIZE)], out, None, shrink, told_bytes=MIB)


def test_blocks_are_shared_where_the_filesystem_can(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """This one may not: what it is asked for is looked at, and done by hand."""
    asked: list[Extent] = []

    def ioctl(descriptor: int, request: int, argument: bytes) -> int:
        assert request == plain.FICLONERANGE
        source, offset, length, at = plain._CLONE.unpack(argument)
        asked.append(Extent(offset, length))
        os.pwrite(descriptor, os.pread(source, length, offset), at)
        return 0

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    ranges, out = RANGES["a partition"], tmp_path / "base"
    copied(sparse, ranges, out)
    assert out.read_bytes() == content(sparse, ranges)
    assert asked
    assert all(e.offset % 4096 == 0 and e.length % 4096 == 0 for e in asked)
