import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk import blockdevs
from bakery.disk.copy import copy
from bakery.disk.extents import Extent, clipped, joined, merged, total
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed

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
    copy.copy_ranges(blockdevs.image(qcow2, "qcow2"), [qcow2], ranges, out)
    assert out.read_bytes() == content(raw, *ranges)


def test_zeros_become_holes(qcow2: Path, tmp_path: Path):
    out = tmp_path / "base"
    copy.copy_ranges(blockdevs.image(qcow2, "qcow2"), [qcow2], [Extent(0, 64 * MIB)], out)
    assert out.stat().st_size == 64 * MIB
    assert out.stat().st_blocks * 512 <= 5 * 65536


def test_a_path_with_a_comma_and_a_blank_is_a_path(raw: Path, tmp_path: Path):
    folder = tmp_path / "a, b"
    folder.mkdir()
    source = raw.rename(folder / "x,format=qcow2.raw")
    out = folder / "o,ut"
    copy.copy_ranges(blockdevs.image(source, "raw"), [source], [Extent(0, MIB)], out)
    assert out.read_bytes() == content(source, Extent(0, MIB))


def test_progress_ends_at_the_whole(qcow2: Path, tmp_path: Path):
    told: list[tuple[int, int]] = []
    ranges = [Extent(0, 3 * MIB), Extent(10 * MIB, 50 * MIB)]
    copy.copy_ranges(
        blockdevs.image(qcow2, "qcow2"),
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
        copy.copy_ranges(blockdevs.image(qcow2, "qcow2"), [qcow2], [Extent(0, MIB)], tmp_path / "o")
    assert (tmp_path / "o").read_bytes() == b"mine"


def test_a_backing_file_the_image_names_is_not_read(raw: Path, tmp_path: Path):
    hostile = tmp_path / "hostile.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, hostile], check=True
    )
    out = tmp_path / "o"
    copy.copy_ranges(blockdevs.image(hostile, "qcow2"), [hostile], [Extent(0, MIB)], out)
    assert out.read_bytes() == bytes(MIB)


def test_nodes_name_every_driver(tmp_path: Path):
    node = blockdevs.window(
        blockdevs.overlay(tmp_path / "o", blockdevs.image(tmp_path / "s", "qcow2")), 512, 1024
    )
    text = blockdevs.name(node)
    assert text.startswith("json:")
    read = json.loads(text.removeprefix("json:"))
    assert read["offset"] == 512
    assert read["file"]["backing"]["backing"] is None


def test_what_has_landed_is_told_range_by_range_while_the_rest_is_copied(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copy, "WINDOW_DATA_BYTES", 2 * 4096)
    out, told = tmp_path / "o", []
    ranges = [Extent(0, 50 * MIB), Extent(60 * MIB, 4 * MIB)]

    def landed(extent: Extent, digests: dict[int, bytes] | None) -> None:
        whole = content(raw, *ranges)
        assert out.read_bytes()[extent.offset : extent.end] == whole[extent.offset : extent.end]
        assert digests is None
        told.append(extent)

    image = raw.with_suffix(".vmdk")
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", raw, image], check=True)
    copy.copy_ranges(blockdevs.image(image, "vmdk"), [image], ranges, out, None, landed)
    assert len(told) > 2
    assert [extent.offset for extent in told] == [0, *(extent.end for extent in told[:-1])]
    assert told[-1].end == total(ranges)
    assert all(extent.offset % MIB == 0 for extent in told)


DATA = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=12)


@given(DATA, st.permutations([Extent(0, 7 * MIB + 512), Extent(9 * MIB, 40 * MIB)]))
def test_windows_are_the_ranges_cut_at_places_that_fit(data, ranges):
    known = merged(Extent(start * MIB + 300, length * MIB) for start, length in data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copy, "WINDOW_DATA_BYTES", 4 * MIB)
        windows = copy._windows(list(ranges), list(known))
    assert [w.at for w in windows] == [0, *(w.at + w.extent.length for w in windows[:-1])]
    assert joined(window.extent for window in windows) == joined(ranges)
    begins = {0, ranges[0].length}
    for window in windows:
        assert window.extent.length > 0
        assert window.at % MIB == 0 or window.at in begins
        held = total(clipped(known, window.extent))
        assert held < 4 * MIB + 2 * MIB, "a window ends soon after it has its share"


def test_a_window_ends_where_its_share_of_data_is_reached(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copy, "WINDOW_DATA_BYTES", 4 * MIB)
    disk = Extent(3 * MIB, 30 * MIB)
    assert list(copy._cuts(disk, 0, [])) == []
    assert list(copy._cuts(disk, 0, [Extent(0, 33 * MIB)])) == [n * MIB for n in range(7, 33, 4)]
    assert list(copy._cuts(disk, 512, [Extent(0, 33 * MIB)]))[:2] == [8 * MIB - 512, 12 * MIB - 512]
    apart = [Extent(4 * MIB, 3 * MIB), Extent(20 * MIB, 3 * MIB)]
    assert list(copy._cuts(disk, 0, apart)) == [21 * MIB]
    whole = [Extent(29 * MIB, 4 * MIB)]
    assert list(copy._cuts(disk, 0, whole)) == []


def test_much_data_is_shared_out_over_no_more_windows_than_are_allowed():
    disk = Extent(0, 1 << 45)
    cuts = list(copy._cuts(disk, 0, [disk]))
    assert len(cuts) == copy.WINDOWS_LIMIT - 1


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("write: No space left on device", "is full"),
        ("error while reading at byte 0: Input/output error", "cannot be read to the end"),
        ("its cluster at byte 3 is damaged", "cannot be read to the end"),
    ],
)
def test_a_failed_copy_says_what_to_do(tmp_path: Path, tail: str, words: str):
    error = copy._explained(CommandFailed("qemu-img", "failed", tail, 1), tail, tmp_path / "o")
    assert words in error.message
    assert error.hint


def test_another_failure_is_told_as_it_is(tmp_path: Path):
    error = CommandFailed("qemu-img", "failed", "no such option", 1)
    assert copy._explained(error, error.tail, tmp_path / "o") is error


def test_a_range_is_read_and_leaves_nothing_behind(qcow2: Path, raw: Path, tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    extent = Extent(3 * MIB + 512, 2048)
    node = blockdevs.image(qcow2, "qcow2")
    assert copy.read_range(node, [qcow2], extent, work) == content(raw, extent)
    assert list(work.iterdir()) == []
    with pytest.raises(BakeryError):
        copy.read_range(blockdevs.image(tmp_path / "none", "raw"), [qcow2], extent, work)
    assert list(work.iterdir()) == []


def test_qemus_percents_are_told_as_bytes_of_the_destination():
    told: list[tuple[int, int]] = []
    take = copy.scaled(lambda *step: told.append(step), 7 * MIB, 2 * MIB, 9 * MIB)
    assert take is not None
    take(b"    (25.00/100%)\r    (50.00/100%)\r")
    take(b"nothing to read")
    take(b"    (100.00/100%)\r\n")
    assert told == [(8 * MIB, 9 * MIB), (9 * MIB, 9 * MIB)]
    assert copy.scaled(None, 7 * MIB, 2 * MIB, 9 * MIB) is None


@pytest.mark.parametrize("printed", [b"(100.01/100%)", b"(999/100%)"])
def test_no_more_than_all_is_told_whatever_is_printed(printed: bytes):
    told: list[tuple[int, int]] = []
    take = copy.scaled(lambda *step: told.append(step), 10, 20, 30)
    assert take
    take(b"(" + b"9" * 400 + b"/100%)")
    assert told == []
    take(printed)
    assert told == [(30, 30)]
