"""The confined program's own steps: what is written, in what order, and what stays a hole."""

import errno
import json
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.copy import clusters, confined_copy
from bakery.disk.copy.confined_copy import Chunk, Part
from bakery.disk.extents import Extent
from bakery.disk.formats import qcow2
from bakery.disk.formats.qcow2_map import Cluster

BLOCK = 4096
MIB = 1 << 20


def test_blocks_of_zeros_are_left_out_and_the_rest_is_told_in_runs():
    x, zero = b"x" * BLOCK, bytes(BLOCK)
    assert list(confined_copy.nonzero(0, zero * 3)) == []
    assert list(confined_copy.nonzero(7, x)) == [(7, 7 + BLOCK)]
    assert list(confined_copy.nonzero(0, x + x + zero + x)) == [
        (0, 2 * BLOCK),
        (3 * BLOCK, 4 * BLOCK),
    ]
    assert list(confined_copy.nonzero(100, zero + x + bytes(10))) == [
        (100 + BLOCK, 100 + 2 * BLOCK)
    ]
    assert list(confined_copy.nonzero(0, x + b"\0" * 9 + b"y")) == [(0, BLOCK + 10)]
    assert list(confined_copy.nonzero(0, bytes(10))) == []
    assert list(confined_copy.nonzero(0, b"")) == []


@given(st.lists(st.sampled_from([b"x", b"\0"]), max_size=8), st.integers(0, BLOCK - 1))
def test_what_is_no_run_is_zeros(blocks, rest):
    data = b"".join(byte * BLOCK for byte in blocks) + b"\0" * rest
    kept = bytearray(len(data))
    for start, end in confined_copy.nonzero(5, data):
        kept[start - 5 : end - 5] = data[start - 5 : end - 5]
    assert kept == data


def test_runs_that_touch_are_one():
    runs: list[tuple[int, int]] = []
    confined_copy.join(runs, [(0, 5), (5, 9), (10, 12)])
    confined_copy.join(runs, [(12, 13), (20, 21)])
    assert runs == [(0, 9), (10, 13), (20, 21)]


def test_parts_are_gathered_by_the_chunk_they_go_to():
    cluster = Cluster(0, 0, 1, compressed=False)
    every = [Part(cluster, 0, 1, at) for at in (0, MIB - 1, MIB, 5 * MIB, 5 * MIB + 9)]
    found = [[part.at for part in chunk] for chunk in confined_copy.chunks(every)]
    assert found == [[0, MIB - 1], [MIB], [5 * MIB, 5 * MIB + 9]]


def written(path: Path, chunk: Chunk) -> None:
    with path.open("wb") as file:
        file.truncate(4 * MIB)
    confined_copy.Writer(str(path)).write(chunk)


def chunk(number: int, *runs: tuple[int, int]) -> Chunk:
    content = mmap.mmap(-1, MIB)
    content[:] = bytes(range(256)) * (MIB // 256)
    return Chunk(number, content, "", list(runs))


@pytest.mark.parametrize("folder", ["here", "/dev/shm"])
@pytest.mark.parametrize(
    "runs",
    [
        [(0, MIB)],
        [(BLOCK, 2 * BLOCK), (3 * BLOCK, 3 * BLOCK + 10)],
        [(5, 9)],
        [(512, 3 * BLOCK)],
        [(0, 10), (MIB - 512, MIB)],
    ],
    ids=str,
)
def test_the_runs_of_a_chunk_are_written_and_nothing_beside_them(
    tmp_path: Path, folder: str, runs: list[tuple[int, int]]
):
    path = (tmp_path if folder == "here" else Path(folder)) / f"copy-{os.getpid()}"
    try:
        made = chunk(2, *runs)
        written(path, made)
        expected = bytearray(4 * MIB)
        for start, end in runs:
            expected[2 * MIB + start : 2 * MIB + end] = made.content[start:end]
        assert path.read_bytes() == expected
    finally:
        path.unlink()


def test_whole_blocks_go_past_the_cache_and_the_rest_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "out"
    path.write_bytes(bytes(4 * MIB))
    writer, calls = confined_copy.Writer(str(path)), []

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        calls.append(("direct" if descriptor == writer.direct else "buffered", at, len(data)))
        return min(len(data), 3 * BLOCK)

    monkeypatch.setattr(os, "pwrite", pwrite)
    writer.direct = -1
    writer.write(chunk(1, (BLOCK, 5 * BLOCK + 7), (6 * BLOCK + 1, 7 * BLOCK)))
    assert calls == [
        ("direct", MIB + BLOCK, 4 * BLOCK),
        ("direct", MIB + 4 * BLOCK, BLOCK),
        ("buffered", MIB + 5 * BLOCK, 7),
        ("buffered", MIB + 6 * BLOCK + 1, BLOCK - 1),
    ]


@pytest.mark.parametrize(
    ("error", "descriptor", "again"),
    [
        (errno.EINVAL, "direct", True),
        (errno.ENOSPC, "direct", False),
        (errno.EINVAL, "buffered", False),
    ],
)
def test_only_what_a_disk_cannot_take_past_the_cache_is_tried_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, descriptor: str, again: bool
):
    path = tmp_path / "out"
    path.write_bytes(bytes(MIB))
    writer, calls = confined_copy.Writer(str(path)), []

    def pwrite(to: int, data: memoryview, at: int) -> int:
        calls.append(to)
        if len(calls) == 1:
            raise OSError(error, "no")
        return len(data)

    monkeypatch.setattr(os, "pwrite", pwrite)
    writer.direct = writer.buffered if descriptor == "buffered" else -1
    if again:
        writer.write(chunk(0, (0, BLOCK)))
        assert calls == [-1, writer.buffered]
        assert writer.direct == writer.buffered
    else:
        with pytest.raises(OSError, match="no"):
            writer.write(chunk(0, (0, BLOCK)))


def test_no_more_chunks_are_read_ahead_than_are_allowed():
    begun: list[int] = []

    class Reader:
        def read(self, parts: list[int]) -> list[int]:
            begun.append(parts[0])
            return parts

    work: Any = ([number] for number in range(9))
    reader: Any = Reader()
    found: Any = confined_copy.read_ahead(reader.read, work, 2, 3)
    for number in range(9):
        assert next(found) == [number]
        assert len(begun) <= number + 3
    assert next(found, None) is None


def test_given_up_the_chunks_that_wait_are_not_read():
    begun, go = [], threading.Event()

    class Reader:
        def read(self, parts: list[int]) -> list[int]:
            begun.append(parts[0])
            go.wait(0.1)
            return parts

    work: Any = ([number] for number in range(20))
    reader: Any = Reader()
    found: Any = confined_copy.read_ahead(reader.read, work, 1, 20)
    with pytest.raises(ValueError, match="enough"):
        next(found)
        found.throw(ValueError("enough"))
    go.set()
    assert len(begun) < 10


def image(folder: Path, *writes: str, size: str = "3M") -> Path:
    path = folder / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True)
    words = [word for one in writes for word in ("-c", one)]
    subprocess.run(["qemu-io", "-f", "qcow2", *words, path], check=True, capture_output=True)
    return path


def program(path: Path, ranges: list[list[int]], out: Path) -> subprocess.CompletedProcess[str]:
    folders = os.pathsep.join({str(package.parent) for package in clusters._packages()})
    return subprocess.run(
        [sys.executable, "-I", "-S", clusters.PROGRAM, folders, path, out],
        input=json.dumps(ranges),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_program_tells_each_chunk_with_data_and_the_end(tmp_path: Path):
    path, out = image(tmp_path, "write -P 7 1M 64k", "write -P 8 2M 5k"), tmp_path / "out"
    with out.open("wb") as file:
        file.truncate(2 * MIB + 512)
    done = program(path, [[MIB, 2 * MIB], [0, 512]], out)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [["chunk", "0"], ["chunk", "1"], ["done", "2097664"]]
    assert out.read_bytes()[: 64 << 10] == b"\7" * (64 << 10)
    assert out.read_bytes()[MIB : MIB + 5120] == b"\x08" * 5120


def test_the_program_says_in_one_line_what_is_wrong(tmp_path: Path):
    out = tmp_path / "out"
    out.write_bytes(bytes(MIB))
    torn = tmp_path / "torn"
    torn.write_bytes(b"no qcow2" * 20)
    for path, words in (
        (torn, "too short for a qcow2 header"),
        (tmp_path / "none", "No such file"),
    ):
        done = program(path, [[0, MIB]], out)
        assert done.returncode == 1
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    broken = program(torn, [[0]], out)
    assert "Traceback" in broken.stderr


def test_parts_lie_between_chunks_and_follow_the_ranges(tmp_path: Path):
    path = image(tmp_path, "write -P 1 0 3M")
    ranges = [Extent(2 * MIB + 100, MIB // 2), Extent(0, MIB)]
    with path.open("rb") as file:
        header = qcow2.parse(file.read(qcow2.HEAD_BYTES))
        parts = list(confined_copy.parts(file, header, ranges))
    at = 0
    for part in parts:
        assert part.at == at
        assert part.at // MIB == (part.at + part.end - part.skip - 1) // MIB
        begun = ranges[0].offset + at if at < MIB // 2 else at - MIB // 2
        assert part.cluster.at + part.skip == begun
        at += part.end - part.skip
    assert at == MIB // 2 + MIB
