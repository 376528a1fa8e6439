import os
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bakery.disk import blockdevs
from bakery.disk.copy import changes
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent, total


def test_what_an_overlay_changes_is_found_to_the_byte(tmp_path: Path):
    source = tmp_path / "s.raw"
    source.write_bytes(os.urandom(8 << 20))
    overlay = tmp_path / "o.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", source, overlay], check=True
    )
    old = source.read_bytes()
    other = bytes([old[5_000_001] ^ 255])
    write = ["qemu-io", "-f", "qcow2", "-c", f"write -q -P {other[0]} 5000001 1"]
    subprocess.run([*write, "-c", "write -q -P 0 70000 4096", overlay], check=True)

    told = changes.changed(blockdevs.image(source, "raw"), [source], overlay, tmp_path)

    found = [change.extent for change in told]
    assert told[-1] == (Extent(5_000_001, 1), other)
    assert all(change.data == bytes(change.extent.length) for change in told[:-1])
    assert 4000 < total(found[:-1]) <= 4096
    assert all(e.offset >= 70000 and e.end <= 74096 for e in found[:-1])


def test_an_overlay_nothing_was_written_to_changes_nothing(tmp_path: Path):
    source = tmp_path / "s.raw"
    source.write_bytes(bytes(1 << 20))
    overlay = tmp_path / "o.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", source, overlay], check=True
    )
    assert changes.changed(blockdevs.image(source, "raw"), [source], overlay, tmp_path) == []


@given(st.binary(min_size=1, max_size=2000), st.sets(st.integers(0, 1999)))
def test_differing_names_exactly_the_bytes_that_differ(old: bytes, places: set[int]):
    new = bytearray(old)
    wanted = {place for place in places if place < len(old)}
    for place in wanted:
        new[place] ^= 1
    found = changes.differing(old, bytes(new))
    assert {i for e in found for i in range(e.offset, e.end)} == wanted


def test_a_change_is_placed_in_a_volume_of_two_pieces():
    change = changes.Change(Extent(100, 6), b"abcdef")
    place = [Extent(103, 50), Extent(90, 12)]
    assert list(changes.placed(change, place)) == [
        (Extent(0, 3), b"def"),
        (Extent(60, 2), b"ab"),
    ]


def test_bytes_that_lie_near_are_told_as_one_change(tmp_path: Path):
    source, overlay = tmp_path / "s.raw", tmp_path / "o.qcow2"
    source.write_bytes(bytes(4 << 20))
    words: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"]
    subprocess.run([*words, source, overlay], check=True)
    places = (1000, 1065, 1131, 3 << 20)
    writes = [word for at in places for word in ("-c", f"write -q -P 1 {at} 1")]
    subprocess.run(["qemu-io", "-f", "qcow2", *writes, overlay], check=True)
    told = changes.changed(blockdevs.image(source, "raw"), [source], overlay, tmp_path)
    assert told == [
        (Extent(1000, 66), b"\1" + bytes(64) + b"\1"),
        (Extent(1131, 1), b"\1"),
        (Extent(3 << 20, 1), b"\1"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.qcow2", "s.raw"]


def test_two_files_differ_in_ranges_and_holes_are_not_read(tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    for path, at, data in ((old, 3 << 20, b"aaaa"), (new, 3 << 20, b"abba")):
        with path.open("wb") as file:
            file.truncate(5 << 40)
            os.pwrite(file.fileno(), data, at)
    os.truncate(old, 5 << 40)
    with new.open("r+b") as file:
        os.pwrite(file.fileno(), b"z", (4 << 40) + 7)
    assert changes.between(old, new) == [
        Change(Extent((3 << 20) + 1, 2), b"bb"),
        Change(Extent((4 << 40) + 7, 1), b"z"),
    ]
