import json
import os
import subprocess
from pathlib import Path

import pytest

from bakery.disk import copy, nodes
from bakery.disk.extents import Extent

MIB = 1 << 20


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        for offset in (0, 3 * MIB, 40 * MIB, 64 * MIB - 4096):
            file.seek(offset)
            file.write(os.urandom(4096))
    return path


@pytest.fixture
def qcow2(raw: Path) -> Path:
    path = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", raw, path], check=True)
    return path


def content(raw: Path, *ranges: Extent) -> bytes:
    data = raw.read_bytes()
    return b"".join(data[r.offset : r.end] for r in ranges)


@pytest.mark.parametrize(
    "ranges",
    [
        [Extent(0, 64 * MIB)],
        [Extent(MIB, 63 * MIB)],
        [Extent(40 * MIB, 4096), Extent(0, MIB)],
        [Extent(0, MIB), Extent(MIB, MIB), Extent(64 * MIB - 4096, 4096)],
    ],
)
def test_ranges_are_joined_in_the_order_given(
    raw: Path, qcow2: Path, tmp_path: Path, ranges: list[Extent]
):
    out = tmp_path / "out" / "base"
    out.parent.mkdir()
    copy.copy_ranges(nodes.image(qcow2, "qcow2"), [qcow2], ranges, out)
    assert out.read_bytes() == content(raw, *ranges)


def test_zeros_become_holes(qcow2: Path, tmp_path: Path):
    out = tmp_path / "base"
    copy.copy_ranges(nodes.image(qcow2, "qcow2"), [qcow2], [Extent(0, 64 * MIB)], out)
    assert out.stat().st_size == 64 * MIB
    assert out.stat().st_blocks * 512 <= 5 * 65536


def test_a_path_with_a_comma_and_a_blank_is_a_path(raw: Path, tmp_path: Path):
    folder = tmp_path / "a, b"
    folder.mkdir()
    source = raw.rename(folder / "x,format=qcow2.raw")
    out = folder / "o,ut"
    copy.copy_ranges(nodes.image(source, "raw"), [source], [Extent(0, MIB)], out)
    assert out.read_bytes() == content(source, Extent(0, MIB))


def test_progress_ends_at_the_whole(qcow2: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    ranges = [Extent(0, 3 * MIB), Extent(10 * MIB, 50 * MIB)]
    copy.copy_ranges(
        nodes.image(qcow2, "qcow2"),
        [qcow2],
        ranges,
        tmp_path / "o",
        lambda d, w: told.append((d, w)),
    )
    assert told[-1] == (53 * MIB, 53 * MIB)
    assert told == sorted(told)


def test_an_existing_file_is_not_overwritten(qcow2: Path, tmp_path: Path):
    (tmp_path / "o").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        copy.copy_ranges(nodes.image(qcow2, "qcow2"), [qcow2], [Extent(0, MIB)], tmp_path / "o")
    assert (tmp_path / "o").read_bytes() == b"mine"


def test_a_backing_file_the_image_names_is_not_read(raw: Path, tmp_path: Path):
    hostile = tmp_path / "hostile.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, hostile], check=True
    )
    out = tmp_path / "o"
    copy.copy_ranges(nodes.image(hostile, "qcow2"), [hostile], [Extent(0, MIB)], out)
    assert out.read_bytes() == bytes(MIB)


def test_nodes_name_every_driver(tmp_path: Path):
    node = nodes.window(
        nodes.overlay(tmp_path / "o", nodes.image(tmp_path / "s", "qcow2")), 512, 1024
    )
    text = nodes.name(node)
    assert text.startswith("json:")
    read = json.loads(text.removeprefix("json:"))
    assert read["offset"] == 512
    assert read["file"]["backing"]["backing"] is None
