import subprocess

import pytest

from bakery.agent import bootloader

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
