"""What of a disk sfdisk is shown: both its ends, and the chain of extended partitions."""

import os
import struct
import subprocess
from pathlib import Path

import pytest

from bakery.disk import blockdevs
from bakery.disk.formats import peek
from bakery.disk.formats.peek import EDGE_BYTES
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed

MIB = 1 << 20


def boot_record(*entries: tuple[int, int]) -> bytes:
    """A sector with partitions of these types that start at these sectors."""
    table = b"".join(struct.pack("<4xB3xII", kind, start, 1) for kind, start in entries)
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


def look(folder: Path, size: int, *pieces: tuple[int, bytes]) -> peek.Peek:
    image, scratch = folder / "image.raw", folder / "scratch"
    scratch.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
        for offset, data in pieces:
            os.pwrite(file.fileno(), data, offset)
    return peek.Peek(image, blockdevs.image(image, "raw"), size, scratch)


@pytest.mark.parametrize("size", [512, EDGE_BYTES, EDGE_BYTES + 512, 2 * EDGE_BYTES, 5 * MIB + 512])
def test_both_ends_are_shown_and_nothing_between_them(tmp_path: Path, size: int):
    noise = os.urandom(size)
    found = look(tmp_path, size, (0, noise))
    assert found.edges() == noise[:EDGE_BYTES]
    shown = found.disk.read_bytes()
    assert len(shown) == size
    assert shown[:EDGE_BYTES] == noise[:EDGE_BYTES]
    assert shown[max(0, size - EDGE_BYTES) :] == noise[max(0, size - EDGE_BYTES) :]
    if size > 2 * EDGE_BYTES:
        assert not any(shown[EDGE_BYTES : size - EDGE_BYTES])


def test_the_chain_of_extended_partitions_is_shown_link_by_link(tmp_path: Path):
    """Each link counts from the first; their sectors lie where nothing else is shown."""
    first = 3 * MIB // 512
    links = {
        3 * MIB: boot_record((0x83, 1), (5, 100)),
        3 * MIB + 100 * 512: boot_record((0x83, 1), (0x0F, 300)),
        3 * MIB + 300 * 512: boot_record((0x83, 1)),
    }
    mbr = boot_record((0x83, 2048), (0x85, first))
    found = look(tmp_path, 9 * MIB, (0, mbr), *links.items())
    found.edges()
    shown = found.disk.read_bytes()
    for offset, sector in links.items():
        assert shown[offset : offset + 512] == sector
    assert not any(shown[3 * MIB + 512 : 3 * MIB + 100 * 512])


@pytest.mark.parametrize("last", [True, False])
def test_a_link_may_lie_in_the_last_sector_and_not_behind_it(
    tmp_path: Path, last: bool, monkeypatch: pytest.MonkeyPatch
):
    size = 5 * MIB
    start = size // 512 - 1 if last else size // 512
    found = look(tmp_path, size, (0, boot_record((5, start))))
    copied: list[int] = []

    def copy(offset: int, length: int) -> bytes:
        copied.append(offset)
        return found.image.read_bytes()[offset : offset + length]

    monkeypatch.setattr(found, "_copy", copy)
    found.edges()
    assert (start * 512 in copied[2:]) == last


def test_a_chain_that_leads_round_and_round_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = look(tmp_path, 5 * MIB, (0, boot_record((5, 6000))))
    steps: list[int] = []

    def copy(offset: int, _length: int) -> bytes:
        steps.append(offset)
        return boot_record((5, 7))

    monkeypatch.setattr(found, "_copy", copy)
    found._follow(boot_record((5, 6000)))
    assert len(steps) == peek.CHAIN_LIMIT


def test_only_extended_partitions_that_start_somewhere_lead_on():
    record = boot_record((0x83, 5), (0x05, 0), (0x0F, 9), (0x85, 11))
    assert list(peek._extended(record)) == [9 * 512, 11 * 512]
    assert list(peek._extended(record[:509])) == [9 * 512]
    assert list(peek._extended(b"")) == []


def test_a_disk_larger_than_any_file_is_refused(tmp_path: Path):
    found = look(tmp_path, 512)
    found.size_bytes = (1 << 63) - 1
    with pytest.raises(BakeryError, match="cannot be shown here"):
        found.edges()


def test_a_table_is_told_none_is_nothing_and_nonsense_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 * MIB))
    assert peek.sfdisk(disk) == b""
    subprocess.run(["sfdisk", "-q", disk], input=b"label: dos\n2048,2048\n", check=True)
    assert b'"partitiontable"' in peek.sfdisk(disk)
    other = subprocess.CompletedProcess([], 1, b"", b"sfdisk: something else\n")
    monkeypatch.setattr(peek, "run_confined", lambda *_args, **_options: other)
    with pytest.raises(CommandFailed, match="something else"):
        peek.sfdisk(disk)
