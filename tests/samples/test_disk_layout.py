import json
import subprocess

import pytest

from bakery.samples.disk_layout import FIRST_BYTE, layout_of, write_table
from bakery.samples.variants import MIB, VARIANTS, find

NAMES = [variant.name for variant in VARIANTS]


def test_the_default_disk_is_that_of_the_2014_image():
    layout = layout_of(find("default"))
    assert layout.of("boot").place == (1048576, 300 * MIB)
    assert layout.of("pv").place == (315621376, 6126829568)


def test_a_gpt_has_room_for_its_second_copy():
    layout = layout_of(find("uefi-gpt"))
    assert layout.of("esp").place == (MIB, 200 * MIB)
    assert layout.of("boot").place == (201 * MIB, 300 * MIB)
    pv = layout.of("pv")
    assert pv.start + pv.size == layout.size - MIB
    mbr = layout_of(find("plain"))
    assert mbr.of("root").place == (MIB, mbr.size - MIB)
    assert (layout.table, mbr.table, mbr.has("boot")) == ("gpt", "mbr", False)


def test_the_first_partition_of_an_mbr_is_the_one_that_starts():
    lines = layout_of(find("default")).script().splitlines()
    assert lines[:2] == ["label: dos", "sector-size: 512"]
    assert [line.endswith(", bootable") for line in lines[2:]] == [True, False]
    assert "bootable" not in layout_of(find("uefi-gpt")).script()


@pytest.mark.parametrize("name", NAMES)
def test_partitions_are_aligned_adjacent_and_inside_the_disk(name):
    layout = layout_of(find(name))
    expected = FIRST_BYTE
    for partition in layout.partitions:
        assert partition.start == expected
        assert partition.size % MIB == 0
        expected += partition.size
    assert expected <= layout.size


def test_grub_counts_disks_from_zero_and_partitions_from_one():
    assert layout_of(find("default")).grub_device("boot") == "(hd0,msdos1)"
    assert layout_of(find("uefi-gpt")).grub_device("boot") == "(hd0,gpt2)"


@pytest.mark.parametrize("name", NAMES)
def test_sfdisk_reads_back_the_table_it_was_given(name, tmp_path):
    variant = find(name)
    layout = layout_of(variant)
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(layout.size)
    write_table(disk, layout)
    printed = subprocess.run(["/usr/sbin/sfdisk", "--json", disk], capture_output=True, check=True)
    table = json.loads(printed.stdout)["partitiontable"]
    assert table["label"] == {"mbr": "dos", "gpt": "gpt"}[layout.table]
    assert [(p["start"] * 512, p["size"] * 512) for p in table["partitions"]] == [
        p.place for p in layout.partitions
    ]
