import struct
import subprocess

import pytest

from bakery.node.agent import bootloader

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    return path


def table(disk, text):
    subprocess.run(["sfdisk", "-q", disk], input=text, text=True, check=True)


def test_a_blank_disk_has_none(disk):
    assert not bootloader.is_there(str(disk))


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_a_table_alone_is_none(disk, label):
    table(disk, f"label: {label}\nsize=16M\n")
    assert not bootloader.is_there(str(disk))


def test_code_in_the_first_sector_is_one(disk):
    table(disk, "label: dos\nsize=16M\n")
    with disk.open("r+b") as file:
        file.write(b"\xeb\x63\x90")
    assert bootloader.is_there(str(disk))


@pytest.mark.parametrize("text", ["label: dos\ntype=ef\n", f"label: gpt\nsize=4M\ntype={ESP}\n"])
def test_an_efi_system_partition_is_one(disk, text):
    table(disk, text)
    assert bootloader.is_there(str(disk))


def test_a_partition_table_that_lies_about_its_size_is_not_followed(disk):
    table(disk, "label: gpt\nsize=16M\n")
    with disk.open("r+b") as file:
        file.seek(512 + 80)
        file.write(b"\xff" * 8)
    assert not bootloader.is_there(str(disk))


def test_a_partition_table_that_lies_beyond_every_disk_is_none(disk):
    table(disk, "label: gpt\nsize=16M\n")
    with disk.open("r+b") as file:
        file.seek(512 + 72)
        file.write(b"\xff" * 8)
    assert not bootloader.is_there(str(disk))


def test_code_without_a_signature_is_none(disk):
    with disk.open("r+b") as file:
        file.write(b"\xeb\x63\x90")
    assert not bootloader.is_there(str(disk))
    disk.write_bytes(b"\xeb")
    assert not bootloader.is_there(str(disk))


@pytest.mark.parametrize("entry", range(4))
def test_each_of_the_four_partitions_counts(disk, entry):
    sector = bytearray(512)
    sector[446 + 16 * entry + 4] = 0xEF
    sector[510:] = b"\x55\xaa"
    disk.write_bytes(sector)
    assert bootloader.is_there(str(disk))


@pytest.mark.parametrize("at", [439, 440, 445])
def test_the_disks_signature_is_no_code(disk, at):
    sector = bytearray(512)
    sector[at] = 1
    sector[510:] = b"\x55\xaa"
    disk.write_bytes(sector)
    assert bootloader.is_there(str(disk)) == (at < 440)


def gpt(first=2, count=4, size=128, at=3) -> bytes:
    """A protective MBR, a header that says this, and an ESP as entry `at`."""
    mbr = bytearray(512)
    mbr[446 + 4], mbr[510:] = 0xEE, b"\x55\xaa"
    header = bytearray(512)
    header[:8] = b"EFI PART"
    struct.pack_into("<QII", header, 72, first, count, size)
    entries = bytearray(max(count, at + 1) * 4096)
    entries[at * size : at * size + 16] = bootloader.ESP_GUID
    return bytes(mbr + header).ljust(first * 512, b"\0") + bytes(entries)


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (gpt(), True),
        (gpt(at=4), False),
        (gpt(first=5, size=4096, at=0), True),
        (gpt(size=256, at=1), True),
        (gpt(size=127, at=0), False),
        (gpt(size=4097, at=0), False),
        (gpt(count=0, at=0), False),
        (gpt(count=1024, at=1023), True),
        (gpt(count=1025, at=0), False),
        (gpt().replace(b"EFI PART", b"EFI PARt"), False),
    ],
)
def test_a_gpt_is_read_within_its_bounds(disk, table, found):
    disk.write_bytes(table)
    assert bootloader.is_there(str(disk)) == found
