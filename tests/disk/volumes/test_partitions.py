import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.volumes import partitions
from bakery.disk.volumes.volumes import Partition, PartitionTable
from bakery.host import tools
from bakery.host.errors import BakeryError

MIB = 1 << 20
DISK = 100 * MIB


def sfdisk(folder: Path, script: str, size: int = DISK, cut: int = DISK) -> bytes:
    """What sfdisk tells of a disk it has partitioned, perhaps cut off afterwards."""
    disk = folder / "disk7.raw"  # a digit at the end makes sfdisk name partitions disk7.raw1 or p1
    disk.touch()
    with disk.open("r+b") as file:
        file.truncate(size)
    program = tools.find("sfdisk")
    assert program
    subprocess.run([program, "-q", disk], input=script.encode(), check=True)
    with disk.open("r+b") as file:
        file.truncate(min(cut, size))
    return subprocess.run([program, "--json", disk], check=False, capture_output=True).stdout


def told(*entries: tuple[int, int, int, str], label: str = "dos") -> bytes:
    """sfdisk's words for partitions (number, start, size in sectors, type)."""
    listed = [
        {"node": f"x{number}", "start": start, "size": size, "type": kind}
        for number, start, size, kind in entries
    ]
    table = {"label": label, "id": "1", "sectorsize": 512, "partitions": listed}
    return json.dumps({"partitiontable": table}).encode()


MBR = """label: dos
label-id: 0x696b0b6c
start=2048, size=20480, type=83, bootable
start=22528, size=40960, type=f
start=24576, size=4096, type=83
start=30720, size=4096, type=8e
"""
GPT = """label: gpt
label-id: 0A92C3B4-11D1-EA42-927D-02291202BDFC
start=2048, size=20480, type=uefi, name="EFI", uuid=6F302075-84A6-B042-8750-5CD19A501916
start=22528, size=20480, type=linux, name="ünï x"
"""


def test_an_mbr_with_logical_partitions_is_read(tmp_path):
    table = partitions.from_sfdisk(sfdisk(tmp_path, MBR), DISK)
    assert table is not None
    assert (table.label, table.id) == ("dos", "0x696b0b6c")
    found = [(p.number, p.start_bytes, p.size_bytes, p.type) for p in table.partitions]
    assert found == [
        (1, MIB, 10 * MIB, "83"),
        (2, 11 * MIB, 20 * MIB, "f"),
        (5, 12 * MIB, 2 * MIB, "83"),
        (6, 15 * MIB, 2 * MIB, "8e"),
    ]
    assert [p.bootable for p in table.partitions] == [True, False, False, False]


def test_a_gpt_is_read_with_names_and_identifiers(tmp_path):
    table = partitions.from_sfdisk(sfdisk(tmp_path, GPT), DISK)
    assert table is not None
    first, second = table.partitions
    assert (table.label, first.name, second.name) == ("gpt", "EFI", "ünï x")
    assert first.type == "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    assert first.uuid == "6F302075-84A6-B042-8750-5CD19A501916"
    assert first.device == "/dev/sda1"


def test_no_table_is_no_error():
    assert partitions.from_sfdisk(b"", DISK) is None


def test_sectors_of_4096_bytes_are_counted_as_such():
    text = told((1, 256, 16, "83")).replace(b'"sectorsize": 512', b'"sectorsize": 4096')
    table = partitions.parse(text)
    assert table is not None
    assert (table.partitions[0].start_bytes, table.partitions[0].size_bytes) == (MIB, 65536)


def test_a_disk_cut_off_is_refused_with_the_partition_named(tmp_path):
    text = sfdisk(tmp_path, MBR, cut=20 * MIB)
    with pytest.raises(BakeryError, match="partition 2 ends at byte 32505856") as caught:
        partitions.from_sfdisk(text, 20 * MIB)
    assert "bakery check" in caught.value.hint


def test_a_gpt_disk_cut_off_is_refused(tmp_path):
    with pytest.raises(BakeryError, match="protective MBR"):
        partitions.from_sfdisk(sfdisk(tmp_path, GPT, cut=20 * MIB), 20 * MIB)


def doubts(text: bytes, size: int = DISK) -> list[str]:
    table = partitions.parse(text)
    assert table is not None
    return [problem.id for problem in partitions.problems(table, size)]


def test_logical_partitions_may_share_bytes_with_their_container_alone():
    inside = [(2, 1000, 5000, "5"), (5, 1100, 900, "83"), (6, 2100, 900, "83")]
    assert doubts(told(*inside)) == []
    assert doubts(told(*inside, (1, 500, 600, "83"))) == ["partitions-overlap"]
    assert doubts(told(*inside, (7, 2200, 10, "83"))) == ["partitions-overlap"]


def test_logical_partitions_outside_their_container_are_doubted():
    assert doubts(told((2, 1000, 500, "f"), (5, 1400, 200, "83"))) == ["partitions-overlap"]
    assert doubts(told((5, 1400, 200, "83"))) == ["partitions-overlap"]


def test_partitions_that_share_one_sector_are_doubted_in_any_order():
    assert doubts(told((1, 2048, 100, "83"), (2, 2147, 10, "83"))) == ["partitions-overlap"]
    assert doubts(told((1, 2147, 10, "83"), (2, 2048, 100, "83"))) == ["partitions-overlap"]
    assert doubts(told((1, 2048, 100, "83"), (2, 2148, 10, "83"))) == []


def test_partition_five_of_a_gpt_is_an_ordinary_one():
    assert doubts(told((5, 2048, 100, "A"), label="gpt")) == []


def test_a_partition_up_to_the_last_byte_fits():
    assert doubts(told((1, 2048, 2048, "83")), 2 * MIB) == []
    assert doubts(told((1, 2048, 2048, "83")), 2 * MIB - 1) == ["partition-beyond-disk"]


@pytest.mark.parametrize(("start", "size"), [(2048, 0), (2048, -1), (-1, 5)])
def test_partitions_without_sense_are_doubted(start, size):
    assert doubts(told((1, start, size, "83"))) == ["partition-size"]


@pytest.mark.parametrize(
    "text",
    [
        b"x", b"[]", b"{}", b"\xff", b'{"partitiontable":{}}', b"[" * 100000,
        told(label="sun"),
        told((1, 1, 1, "83")).replace(b"512", b"0"),
        told((1, 1, 1, "83")).replace(b"x1", b"x"),
        told((0, 1, 1, "83")),
        told(*[(n + 1, n * 10, 1, "83") for n in range(1025)]),
        b" " * (partitions.TEXT_LIMIT_BYTES + 1) + b"{}",
    ],
)  # fmt: skip
def test_what_no_sfdisk_prints_is_refused(text):
    with pytest.raises(BakeryError):
        partitions.parse(text)


def test_names_that_are_not_unicode_do_not_hinder():
    text = told((1, 2048, 100, "A"), label="gpt").replace(b'"type"', b'"name": "\xd8\x00", "type"')
    text = text.replace(b"\x00", b"")
    table = partitions.parse(text)
    assert table is not None
    assert table.partitions[0].name == "\N{REPLACEMENT CHARACTER}"


NUMBERS = st.integers(-(2**65), 2**65)
ENTRIES = st.lists(st.tuples(st.integers(1, 12), NUMBERS, NUMBERS, st.sampled_from(["83", "5"])))


@settings(max_examples=200, deadline=None)
@given(ENTRIES, st.integers(0, 2**63))
def test_a_table_that_passes_lies_on_the_disk_without_overlap(entries, size):
    try:
        table = partitions.from_sfdisk(told(*entries), size)
    except BakeryError:
        return
    assert table is not None
    check_sound(table, size)


def check_sound(table: PartitionTable, size: int) -> None:
    plain: list[Partition] = []
    for p in table.partitions:
        assert 0 <= p.start_bytes < p.start_bytes + p.size_bytes <= size
        if not partitions.is_extended(p, table.label):
            plain.append(p)
    for a in plain:
        for b in plain:
            apart = a.start_bytes + a.size_bytes <= b.start_bytes
            assert a is b or apart or b.start_bytes + b.size_bytes <= a.start_bytes


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(text):
    try:
        partitions.from_sfdisk(text, DISK)
    except BakeryError:
        return


def test_of_a_gpt_that_is_cut_off_only_that_is_told():
    assert doubts(told((1, 1, 1 << 32, "ee")), 2 * MIB) == ["gpt-damaged"]
    assert doubts(told((1, 1, 0, "EE")), 2 * MIB) == ["gpt-damaged"]
    assert doubts(told((1, 1, 1 << 32, "ee"), label="gpt"), 2 * MIB) == ["partition-beyond-disk"]


def test_containers_share_bytes_with_primary_partitions_in_any_order():
    inside = [(2, 1000, 100, "5"), (5, 1010, 10, "83")]
    assert doubts(told(*inside, (1, 1099, 50, "83"))) == ["partitions-overlap"]
    assert doubts(told(*inside, (1, 1100, 50, "83"))) == []
    assert doubts(told(*inside, (1, 900, 101, "83"))) == ["partitions-overlap"]
    assert doubts(told(*inside, (1, 900, 100, "83"))) == []


@pytest.mark.parametrize(
    ("start", "size", "fits"),
    [(1000, 100, True), (999, 100, False), (1001, 100, False), (1000, 101, False), (1099, 1, True)],
)
def test_a_logical_partition_may_fill_its_container(start: int, size: int, fits: bool):
    found = doubts(told((2, 1000, 100, "85"), (5, start, size, "83")))
    assert found == ([] if fits else ["partitions-overlap"])
    assert doubts(told((2, 1000, 100, "5"), (4, 5000, 10, "83"))) == []


def test_as_many_partitions_and_bytes_are_read_as_the_limits_allow(
    monkeypatch: pytest.MonkeyPatch,
):
    many = told(
        *[(n + 1, 2048 + n, 1, "83") for n in range(partitions.PARTITION_LIMIT)], label="gpt"
    )
    table = partitions.parse(many)
    assert table is not None
    assert len(table.partitions) == partitions.PARTITION_LIMIT
    one = told((1, 1, 1, "83"))
    monkeypatch.setattr(partitions, "TEXT_LIMIT_BYTES", len(one))
    assert partitions.parse(b"a word in front\n" + one) is not None
    with pytest.raises(BakeryError, match="longer than"):
        partitions.parse(one + b" ")


def test_partitions_stand_in_the_order_of_their_numbers():
    table = partitions.parse(told((3, 1, 1, "83"), (1, 5, 1, "83"), (12, 9, 1, "83"), label="gpt"))
    assert table is not None
    assert [p.number for p in table.partitions] == [1, 3, 12]
    assert partitions.is_extended(Partition(1, 0, 0, "0F"), "dos")
    assert not partitions.is_extended(Partition(1, 0, 0, "0f"), "gpt")


def test_a_partition_may_begin_with_the_disk():
    assert doubts(told((1, 0, 1, "83"))) == []


def test_what_a_gpt_marks_for_a_bios_is_bootable(tmp_path):
    script = "label: gpt\nstart=2048, size=2048, attrs=LegacyBIOSBootable\nstart=4096, size=2048\n"
    table = partitions.from_sfdisk(sfdisk(tmp_path, script), DISK)
    assert table is not None
    assert [p.bootable for p in table.partitions] == [True, False]
