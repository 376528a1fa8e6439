"""The binary part of a physical volume, made by hand: where a text may lie, and how many areas."""

import struct

import pytest

from bakery.disk.volumes import lvm_label
from bakery.disk.volumes.lvm_label import Area, Damaged, Label
from tests.disk.volumes.pvs import edit

START, SIZE = 4096, 4096
ROOM = SIZE - 512
UUID = b"0123456789abcdefghijABCDEFGHIJkl"


def area(
    text: bytes = b"text\0",
    offset: int = 512,
    length: int | None = None,
    *,
    flags: int = 0,
    version: int = 1,
    start: int = START,
    magic: bytes = b" LVM2 x[5A%r0N*>",
) -> bytes:
    """The bytes of a disk up to an area's end, its text in the ring from `offset` on."""
    ring = bytearray(SIZE)
    for number, byte in enumerate(text):
        at = offset + number
        ring[at if at < SIZE else at - ROOM] = byte
    header = struct.pack("<I16sIQQ", 0, magic, version, start, SIZE)
    size = len(text) if length is None else length
    header += struct.pack("<QQII", offset, size, lvm_label.checksum(text), flags)
    ring[:512] = edit.sealed_area(header.ljust(512, b"\0"))
    return bytes(START) + bytes(ring)


def read_text(disk: bytes) -> bytes | None:
    return lvm_label.read_text(lambda at, size: disk[at : at + size], Area(START, SIZE))


def test_a_text_lies_anywhere_in_the_ring_and_may_run_over_its_end():
    text = bytes(range(1, 200))
    for offset in (512, 513, 2000, SIZE - len(text), SIZE - len(text) + 1, SIZE - 1):
        assert read_text(area(text + b"\0", offset)) == text


def test_a_text_may_fill_the_ring_and_no_more():
    whole = b"x" * ROOM
    assert read_text(area(whole)) == whole
    assert read_text(area(whole, 600)) == whole
    with pytest.raises(Damaged, match="outside its area"):
        read_text(area(whole, length=ROOM + 1))


@pytest.mark.parametrize(
    ("offset", "length"), [(511, 5), (1, 5), (SIZE, 5), (SIZE + 600, 5), (512, 0)]
)
def test_a_text_outside_the_ring_is_damage(offset: int, length: int):
    forged = bytearray(area())
    struct.pack_into("<QQ", forged, START + edit.TEXT_PLACE_AT, offset, length)
    forged[START : START + 512] = edit.sealed_area(forged[START : START + 512])
    with pytest.raises(Damaged, match="outside its area"):
        read_text(bytes(forged))


def test_a_text_is_as_long_as_the_limit_at_most(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lvm_label, "TEXT_LIMIT_BYTES", 100)
    assert read_text(area(b"x" * 100)) == b"x" * 100
    with pytest.raises(Damaged, match="longer than 100 bytes"):
        read_text(area(b"x" * 101))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "no LVM2 mark"),
        ({"magic": b"another mark...."}, "no LVM2 mark"),
        ({"start": START + 512}, "belongs elsewhere"),
    ],
)
def test_an_area_that_is_another_is_damage(changed, words):
    with pytest.raises(Damaged, match=words):
        read_text(area(**changed))


def test_an_area_is_checked_as_a_whole_and_so_is_its_text():
    disk = area()
    with pytest.raises(Damaged, match="checksum of a metadata area's header"):
        read_text(edit.flipped(disk, START + 511))
    with pytest.raises(Damaged, match="checksum of a metadata text"):
        read_text(edit.flipped(disk, START + 512))
    with pytest.raises(Damaged, match="beyond the end"):
        read_text(disk[: START + 511])
    with pytest.raises(Damaged, match="text lies beyond the end"):
        read_text(area(b"text\0", 1000)[: START + 1002])


def test_an_area_without_a_text_or_that_is_ignored_holds_none():
    assert read_text(area(b"", offset=0)) is None
    assert read_text(area(flags=1)) is None
    assert read_text(area(flags=3)) is None
    assert read_text(area(flags=2)) == b"text"


def label(
    areas: int = 1,
    data: int = 1,
    number: int = 1,
    *,
    offset: int = 32,
    kind: bytes = b"LVM2 001",
    uuid: bytes = UUID,
) -> bytes:
    """A disk's head with a label in sector `number`: so many areas of data, and of metadata."""
    sector = struct.pack("<8sQII8s", b"LABELONE", number, 0, offset, kind)
    sector += uuid + struct.pack("<Q", 1 << 30)
    for count in (data, areas):
        for place in range(count):
            sector += struct.pack("<QQ", 4096 * (place + 1), 100 + place)
        sector += bytes(16)
    return bytes(512 * number) + edit.sealed_label(sector[:512].ljust(512, b"\0")) + bytes(2048)


def read_label(disk: bytes) -> Label | None:
    return lvm_label.read_label(lambda at, size: disk[at : at + size])


def test_a_label_names_the_volume_and_its_areas_of_metadata():
    assert read_label(label(areas=2, data=3)) == Label(
        UUID.decode(), (Area(4096, 100), Area(8192, 101))
    )
    assert read_label(label(areas=0)) == Label(UUID.decode(), ())


@pytest.mark.parametrize("number", range(4))
def test_a_label_lies_in_one_of_the_first_four_sectors(number: int):
    assert read_label(label(number=number)) is not None


def test_a_label_further_behind_is_none():
    assert read_label(label(number=4)) is None
    assert read_label(label(number=1)[:1023]) is None


def test_a_good_label_counts_though_one_before_it_is_damaged():
    good = label(number=2)
    both = label(number=1, offset=40)[:1024] + good[1024:]
    assert read_label(both) == read_label(good)
    with pytest.raises(Damaged, match="unknown kind"):
        read_label(label(number=1, offset=40))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"offset": 33}, "unknown kind"),
        ({"kind": b"LVM1 001"}, "unknown kind"),
        ({"uuid": b"-" * 32}, "no identifier"),
    ],
)
def test_a_label_of_another_kind_is_damage(changed, words):
    with pytest.raises(Damaged, match=words):
        read_label(label(**changed))


def test_as_many_areas_are_taken_as_the_limit_allows():
    limit = lvm_label.AREA_LIMIT
    known = read_label(label(areas=limit, data=0))
    assert known is not None
    assert len(known.areas) == limit
    with pytest.raises(Damaged, match="too many areas"):
        read_label(label(areas=limit + 1, data=0))


def test_a_list_of_areas_without_end_is_damage():
    sector = bytes(480) + struct.pack("<QQ", 4096, 1) * 2
    with pytest.raises(Damaged, match="too many areas"):
        lvm_label._locations(sector, 480)
    assert lvm_label._locations(sector[:-16] + bytes(16), 480) == ((Area(4096, 1),), 512)
