"""GUID partition tables that count in sectors of 4096 bytes."""

import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.volumes import gpt
from bakery.disk.volumes.volumes import Partition, PartitionTable
from bakery.host.errors import BakeryError
from tests.disk.volumes import disks_4k
from tests.disk.volumes.disks_4k import SECTOR

MIB = 1 << 20
SIZE = 8 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(b"")
    os.truncate(path, SIZE)
    disks_4k.write_table(path, [(MIB, 2 * MIB, "ünï x"), (4 * MIB, MIB, "root")])
    return path


def read(data: bytes) -> PartitionTable:
    return gpt.read(lambda at, length: data[at : at + length], len(data), SECTOR)


def sectors(data: bytes) -> int:
    return gpt.sector_bytes(lambda at, length: data[at : at + length], len(data))


def test_a_table_is_read_with_its_places_names_and_identifiers(disk: Path):
    assert read(disk.read_bytes()) == PartitionTable(
        "gpt",
        disks_4k.DISK_ID,
        (
            Partition(
                1,
                MIB,
                2 * MIB,
                disks_4k.LINUX,
                "ünï x",
                "00000000-0000-0000-0000-000000000001",
            ),
            Partition(
                2, 4 * MIB, MIB, disks_4k.LINUX, "root", "00000000-0000-0000-0000-000000000002"
            ),
        ),
        SECTOR,
    )


def test_the_size_of_the_sectors_is_told_by_where_the_table_lies(disk: Path):
    data = disk.read_bytes()
    assert sectors(data) == SECTOR
    assert sectors(data[:SECTOR] + bytes(SECTOR) + data[2 * SECTOR :]) == SECTOR
    assert sectors(bytes(512) + b"EFI PART".ljust(SIZE - 512, b"\0")) == 512
    assert sectors(bytes(SIZE)) == 512
    assert sectors(b"") == 512


def test_where_both_sizes_have_a_table_the_usual_one_counts(disk: Path):
    data = bytearray(disk.read_bytes())
    data[512:520] = b"EFI PART"
    assert sectors(bytes(data)) == 512


@pytest.mark.parametrize("at", [SECTOR + 40, SECTOR + 16, 2 * SECTOR + 3, SECTOR])
def test_with_one_copy_damaged_the_other_is_read(disk: Path, at: int):
    data = bytearray(disk.read_bytes())
    whole = read(bytes(data))
    data[at] ^= 1
    assert read(bytes(data)) == whole


def test_with_both_copies_damaged_it_is_refused_with_what_is_wrong_with_each(disk: Path):
    data = bytearray(disk.read_bytes())
    data[SECTOR + 40] ^= 1
    data[SIZE - 5 * SECTOR] ^= 1
    with pytest.raises(BakeryError) as caught:
        read(bytes(data))
    assert "sector 1: the checksum of its header is wrong" in caught.value.message
    assert f"sector {SIZE // SECTOR - 1}: the checksum of its entries" in caught.value.message


def test_a_disk_that_was_cut_off_keeps_its_first_copy(disk: Path):
    data = disk.read_bytes()[: 6 * MIB]
    assert [p.number for p in read(data).partitions] == [1, 2]


@pytest.mark.parametrize("forged", [{"count": 1 << 20}, {"entry": 64}, {"entry": 132}, {"own": 2}])
def test_a_header_that_asks_for_too_much_is_not_believed(disk: Path, forged: dict[str, int]):
    data = bytearray(disk.read_bytes())
    entries = bytes(data[2 * SECTOR : 2 * SECTOR + 128 * 128])
    told = bytearray(disks_4k.header(forged.get("own", 1), 0, 2, SIZE // SECTOR - 1, entries))
    struct.pack_into("<II", told, 80, forged.get("count", 128), forged.get("entry", 128))
    told[16:20] = bytes(4)
    told[16:20] = struct.pack("<I", zlib.crc32(told))
    data[SECTOR : SECTOR + len(told)] = told
    data[SIZE - SECTOR :] = bytes(SECTOR)
    with pytest.raises(BakeryError, match="the GPT is damaged"):
        read(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=0, max_size=600), st.integers(0, 4 * SECTOR))
def test_whatever_stands_there_is_read_or_refused(noise: bytes, at: int):
    data = bytearray(64 * SECTOR)
    data[SECTOR : SECTOR + 8] = b"EFI PART"
    data[at : at + len(noise)] = noise
    try:
        table = read(bytes(data))
    except BakeryError:
        return
    assert len(table.partitions) <= 1024
