"""The volume groups of tests/disk/pvs were written by lvm2 itself; see make.py there."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.extents import Extent
from bakery.disk.volumes import lvm
from bakery.disk.volumes.volumes import Segment, VolumeGroup
from bakery.host.errors import BakeryError
from tests.disk.volumes import pvs
from tests.disk.volumes.pvs import edit

MIB = 1 << 20
START = 301 * MIB
SECTOR = 512
AREA = 4096
BARE = [(0, Extent(0, pvs.SIZE_BYTES))]


def one(found: list[VolumeGroup]) -> VolumeGroup | None:
    assert len(found) <= 1
    return found[0] if found else None


def read(pv: bytes, size: int = pvs.SIZE_BYTES) -> VolumeGroup | None:
    """Read a volume as if it lay at START of a disk."""

    def read_at(offset: int, length: int) -> bytes:
        assert offset >= START
        assert length >= 0
        return pv[offset - START : offset - START + length]

    return one(lvm.read(read_at, [(2, Extent(START, size))]))


def group(pv: bytes) -> VolumeGroup:
    found = read(pv)
    assert found is not None
    return found


def volumes(pv: bytes) -> dict[str, tuple[Segment, ...]]:
    return {volume.name: volume.segments for volume in group(pv).volumes}


def reasons(pv: bytes) -> dict[str, str]:
    return {volume.name: volume.unusable for volume in group(pv).volumes}


def refusal(pv: bytes, size: int = pvs.SIZE_BYTES) -> str:
    with pytest.raises(BakeryError) as caught:
        read(pv, size)
    assert caught.value.hint
    return caught.value.message


def test_a_volume_in_two_segments_is_placed_on_the_disk():
    assert volumes(pvs.load("split"))["root"] == (
        Segment(lv_offset=0, disk_offset=START + 1 * MIB, length=2 * MIB),
        Segment(lv_offset=2 * MIB, disk_offset=START + 7 * MIB, length=2 * MIB),
    )


def test_group_and_volume_have_the_names_device_mapper_gives_them():
    found = group(pvs.load("copies"))
    assert (found.name, found.partitions, found.extent_size_bytes) == ("cah-vg0", (2,), MIB)
    assert [v.mapper for v in found.volumes] == ["/dev/mapper/cah--vg0-sys--root"]
    assert [v.size_bytes for v in found.volumes] == [3 * MIB]


def test_metadata_that_runs_over_the_end_of_its_ring_is_read_whole():
    pv = pvs.load("ring")
    area = edit.areas(pv)[0]
    header = pv[area.offset : area.offset + 512]
    offset, length, _, _ = edit.TEXT_PLACE.unpack_from(header, edit.TEXT_PLACE_AT)
    assert offset + length > area.size
    assert list(volumes(pv)) == ["root"]


def test_a_disk_without_a_label_holds_no_volume_group():
    assert read(bytes(16 * MIB)) is None


def test_a_volume_that_belongs_to_no_group_holds_none():
    assert read(pvs.load("orphan")) is None


def test_a_volume_without_metadata_of_its_own_is_refused_with_the_reason():
    assert "has no metadata of its own" in refusal(pvs.load("mute"))


def test_volumes_on_another_disk_are_listed_with_the_missing_physical_volume_named():
    told = reasons(pvs.load("kinds"))
    assert told["plain"] == ""
    assert "physical volume pv1" in told["elsewhere"]
    assert "physical volume pv1" in told["spread"]
    assert "stripes" in told["striped"]


def both(first: bytes, second: bytes, gap: int = 0) -> list[VolumeGroup]:
    """Two physical volumes in partitions 2 and 3 of one disk."""
    disk = first.ljust(pvs.SIZE_BYTES + gap, b"\0") + second.ljust(pvs.SIZE_BYTES, b"\0")
    places = [
        (2, Extent(START, pvs.SIZE_BYTES)),
        (3, Extent(START + pvs.SIZE_BYTES + gap, pvs.SIZE_BYTES)),
    ]
    return lvm.read(lambda at, length: disk[at - START : at - START + length], places)


def test_a_group_in_two_partitions_of_one_disk_is_one_and_its_volumes_join_their_segments():
    (found,) = both(pvs.load("kinds"), pvs.load("second"), gap=MIB)
    assert (found.partitions, found.missing) == ((2, 3), ())
    second = START + pvs.SIZE_BYTES + MIB
    told = {lv.name: (lv.segments, lv.unusable) for lv in found.volumes}
    assert told["spread"] == (
        (Segment(0, START + 5 * MIB, MIB), Segment(MIB, second + 5 * MIB, MIB)),
        "",
    )
    assert told["elsewhere"] == ((Segment(0, second + MIB, MIB),), "")
    assert "stripes" in told["striped"][1]
    assert found.not_one_partition == ("the volume group atomicos lies in several partitions: 2, 3")


def test_the_order_of_the_partitions_does_not_matter():
    (found,) = both(pvs.load("second"), pvs.load("kinds"))
    spread = next(lv for lv in found.volumes if lv.name == "spread")
    assert [s.disk_offset for s in spread.segments] == [
        START + pvs.SIZE_BYTES + 5 * MIB,
        START + 5 * MIB,
    ]


def test_a_group_without_one_of_its_physical_volumes_names_it():
    found = group(pvs.load("kinds"))
    assert found.missing[0].startswith("pv1 (last seen as /dev/loop")
    assert found.not_one_partition.startswith("the volume group atomicos lacks its physical volume")
    assert group(pvs.load("split")).not_one_partition == ""


def test_the_newest_metadata_of_all_physical_volumes_counts():
    newer = edit.replace_text(pvs.load("second"), b"spread {", b"wider {")
    seqno = edit.text_of(newer).split(b"seqno = ")[1].split()[0]
    newer = edit.replace_text(newer, b"seqno = " + seqno, b"seqno = 77")
    for pair in ((pvs.load("kinds"), newer), (newer, pvs.load("kinds"))):
        (found,) = both(*pair)
        assert "wider" in {lv.name for lv in found.volumes}


def test_a_physical_volume_that_the_newest_metadata_has_left_out_is_refused():
    text = edit.text_of(pvs.load("kinds"))
    head, rest = text.split(b"pv1 {", 1)
    alone = edit.with_text(pvs.load("kinds"), head + rest.split(b"}", 1)[1])
    alone = edit.replace_text(alone, b"seqno = ", b"seqno = 9")
    with pytest.raises(BakeryError, match=r"partition 3: .*does not list this physical volume"):
        both(alone, pvs.load("second"))


def test_metadata_lost_on_one_physical_volume_is_taken_from_another():
    pv = pvs.load("second")
    for area in edit.areas(pv):
        pv = edit.flipped(pv, area.offset + 100)
    (found,) = both(pvs.load("kinds"), pv)
    assert found.partitions == (2, 3)


def test_a_physical_volume_without_metadata_of_its_own_is_read_where_another_tells_of_it():
    mute = pvs.load("mute")
    label = bytearray(mute[SECTOR : 2 * SECTOR])
    label[32:64] = pvs.load("second")[SECTOR + 32 : SECTOR + 64]
    mute = mute[:SECTOR] + edit.sealed_label(label) + mute[2 * SECTOR :]
    (found,) = both(pvs.load("kinds"), mute)
    assert (found.partitions, found.missing) == ((2, 3), ())


def test_two_groups_on_one_disk_are_two():
    found = both(pvs.load("kinds"), pvs.load("copies"))
    assert [(g.name, g.partitions) for g in found] == [("atomicos", (2,)), ("cah-vg0", (3,))]


def test_two_groups_of_one_name_are_refused_as_their_volumes_could_not_be_told_apart():
    with pytest.raises(BakeryError, match="two volume groups of the name atomicos") as caught:
        both(pvs.load("kinds"), pvs.load("split"))
    assert "vgrename" in caught.value.hint


def test_the_same_physical_volume_twice_is_refused():
    with pytest.raises(BakeryError, match="partition 2: another partition has the same"):
        both(pvs.load("copies"), pvs.load("copies"))


def test_a_second_physical_volume_cut_short_is_the_one_that_is_named():
    disk = pvs.load("kinds").ljust(pvs.SIZE_BYTES, b"\0") + pvs.load("second")
    places = [(2, Extent(0, pvs.SIZE_BYTES)), (3, Extent(pvs.SIZE_BYTES, 8 * MIB))]
    with pytest.raises(BakeryError, match=r"^the LVM physical volume in partition 3: it reaches"):
        lvm.read(lambda at, length: disk[at : at + length], places)


def test_of_the_other_disk_the_other_volumes_are_usable():
    told = reasons(pvs.load("second"))
    assert told["elsewhere"] == ""
    assert "pv0" in told["plain"]


@pytest.mark.parametrize(
    "kind",
    ["raid1", "mirror", "thin", "thin-pool", "snapshot", "cache", "vdo", "striped+COMPAT", "error"],
)
def test_kinds_of_volumes_that_are_more_than_runs_are_unusable_with_their_kind_named(kind):
    pv = edit.replace_text(pvs.load("copies"), b'"striped"', f'"{kind}"'.encode())
    assert kind in reasons(pv)["sys-root"]


def test_the_store_of_a_snapshot_is_no_volume_of_its_own_and_its_origin_is_one():
    snapshot = b"""
        snapshot0 { id = "x" status = ["READ"] segment_count = 1
            segment1 { start_extent = 0 extent_count = 2 type = "snapshot"
                       chunk_size = 8 origin = "root" cow_store = "docker-pool" } }
        root {"""
    pv = edit.replace_text(pvs.load("split"), b"root {", snapshot)
    told = reasons(pv)
    assert told == {"root": "", "docker-pool": "it is the store of a snapshot"}


def test_a_volume_a_snapshot_is_being_merged_into_is_unusable():
    merging = b"""
        snapshot0 { id = "x" status = ["READ"] segment_count = 1
            segment1 { start_extent = 0 extent_count = 2 type = "snapshot"
                       chunk_size = 8 origin = "root" merging_store = "docker-pool" } }
        root {"""
    pv = edit.replace_text(pvs.load("split"), b"root {", merging)
    assert "merged" in reasons(pv)["root"]


def test_hidden_volumes_are_not_listed():
    text = edit.text_of(pvs.load("split"))
    head, tail = text.split(b"docker-pool {", 1)
    hidden = head + b"docker-pool {" + tail.replace(b', "VISIBLE"', b"", 1)
    assert list(volumes(edit.with_text(pvs.load("split"), hidden))) == ["root"]


@pytest.mark.parametrize("damage", range(2))
def test_with_one_copy_damaged_the_other_is_used(damage):
    pv = pvs.load("copies")
    whole = volumes(pv)
    area = edit.areas(pv)[damage]
    assert volumes(edit.flipped(pv, area.offset + 100)) == whole
    text_at = pv.rfind(b"seqno", area.offset, area.offset + area.size)
    assert volumes(edit.flipped(pv, text_at)) == whole


def test_of_two_good_copies_the_newer_counts():
    pv = pvs.load("copies")
    first, second = edit.areas(pv)
    newer = edit.with_text(pv, edit.text_of(pv).replace(b"seqno = 2", b"seqno = 7").replace(
        b"sys-root", b"newer"))  # fmt: skip
    mixed = newer[: second.offset] + pv[second.offset :]
    assert list(volumes(mixed)) == ["newer"]
    other = pv[: first.offset] + pv[first.offset : second.offset] + newer[second.offset :]
    assert list(volumes(other)) == ["newer"]


def test_with_both_copies_damaged_the_group_is_refused():
    pv = pvs.load("copies")
    for area in edit.areas(pv):
        pv = edit.flipped(pv, area.offset + 100)
    assert "no copy of the metadata is valid" in refusal(pv)


def test_every_flip_in_the_label_is_seen():
    pv = pvs.load("split")
    for at in range(SECTOR + 20, 2 * SECTOR, 7):
        assert "checksum of the label" in refusal(edit.flipped(pv, at, at % 8))


def test_every_flip_in_the_only_metadata_is_seen():
    pv = pvs.load("split")
    for at in range(AREA, AREA + SECTOR, 11):
        assert "is valid" in refusal(edit.flipped(pv, at, at % 8))


def test_a_label_in_another_of_the_first_four_sectors_is_found():
    pv = bytearray(pvs.load("split"))
    sector = bytearray(pv[SECTOR : 2 * SECTOR])
    sector[8] = 3
    pv[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    pv[3 * SECTOR : 4 * SECTOR] = edit.sealed_label(sector)
    assert list(volumes(bytes(pv))) == ["root", "docker-pool"]


def test_a_label_in_a_sector_it_was_not_written_for_is_refused():
    pv = bytearray(pvs.load("split"))
    pv[0:SECTOR] = pv[SECTOR : 2 * SECTOR]
    pv[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    assert "unknown kind" in refusal(bytes(pv))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"pv0", 6', b'"pv0", 1', "share bytes"),
        (b'"pv0", 6', b'"pv0", 14', "beyond the end"),
        (b'"pv0", 6', b'"pv0", 99999999999', "beyond the end"),
        (b'"pv0", 6', b'"pv0", -6', "where it lies"),
        (b'"pv0", 6', b'6, "pv0"', "where it lies"),
        (b"segment_count = 2", b"segment_count = 3", "segments"),
        (b"segment_count = 2", b"segment_count = 9223372036854775807", "segments"),
        (b"start_extent = 2", b"start_extent = 3", "follow one another"),
        (b"extent_count = 2", b"extent_count = 0", "without extents"),
        (b"extent_size = 2048", b"extent_size = 0", "no size"),
        (b"extent_size = 2048", b"extent_size = 4096", "beyond the end"),
        (b"pe_count = 1", b"pe_count = 9", "beyond the end"),
        (b"docker-pool {", b"root {", "twice"),
        (b"docker-pool {", b".. {", "the name"),
        (b"docker-pool {", b"-pool {", "the name"),
        (b"docker-pool {", b"a" * 128 + b" {", "the name"),
        (b'stripe_count = 1', b'stripe_count = "1"', "stripe_count"),
        (b"seqno = ", b"number = ", "seqno"),
        (b"physical_volumes {", b"physical_things {", "this physical volume"),
        (b"logical_volumes {", b"logical_volumes = 1 more {", "logical_volumes"),
        (b"pv0 {", b"pv1 {", ""),
    ],
)  # fmt: skip
def test_forged_metadata_is_refused(old, new, reason):
    pv = edit.replace_text(pvs.load("split"), old, new)
    if reason:
        assert reason in refusal(pv)
    else:
        assert all("another volume" in told for told in reasons(pv).values())


def test_a_group_of_someone_elses_disk_is_refused():
    text = edit.text_of(pvs.load("second"))
    pv = edit.with_text(pvs.load("split"), text)
    assert "this physical volume" in refusal(pv)


def test_a_volume_cut_short_by_its_partition_is_refused():
    assert "beyond the end of its partition" in refusal(pvs.load("split"), size=8 * MIB)


def test_a_disk_cut_off_inside_the_metadata_is_refused():
    assert refusal(pvs.load("split")[: AREA + 700])


def test_no_more_is_read_than_the_metadata():
    pv = pvs.load("split")
    taken = 0

    def read_at(offset: int, length: int) -> bytes:
        nonlocal taken
        taken += length
        return pv[offset : offset + length]

    assert lvm.read(read_at, BARE)
    assert taken < 16384


@pytest.mark.parametrize("size", [0, 511, 1024, 1500, 4096, 4500, 5000, pvs.SIZE_BYTES])
def test_nothing_is_read_beyond_the_volumes_own_room(size: int):
    """Behind it lies what is another's, though it goes on like this one."""
    pv = pvs.load("split").ljust(pvs.SIZE_BYTES * 2, b"\0")
    ends: list[int] = []

    def read_at(offset: int, length: int) -> bytes:
        assert length > 0
        ends.append(offset + length)
        return pv[offset - START : offset - START + length]

    def read_it() -> VolumeGroup | None:
        return one(lvm.read(read_at, [(2, Extent(START, size))]))

    if size < 1024:
        assert read_it() is None
    elif size < pvs.SIZE_BYTES:
        with pytest.raises(BakeryError, match="in partition 2: "):
            read_it()
    else:
        assert read_it()
    assert all(end <= START + size for end in ends)


def test_a_volume_that_ends_with_its_last_extent_is_whole():
    """Of tests/disk/pvs/split: 15 extents of 1 MiB behind the first MiB."""
    pv = edit.replace_text(pvs.load("split"), b"pe_count = 15", b"pe_count = 14")
    assert read(pv, 15 * MIB)
    assert "1 bytes beyond the end" in refusal(pv, 15 * MIB - 1)


def test_a_volume_may_end_with_its_physical_volume():
    last = edit.replace_text(pvs.load("split"), b'"pv0", 6', b'"pv0", 13')
    assert volumes(last)["root"][1].disk_offset == START + 14 * MIB


def test_a_copy_that_holds_no_group_does_not_hide_one_that_does():
    pv = bytearray(pvs.load("copies"))
    first, _ = edit.areas(bytes(pv))
    header = bytearray(pv[first.offset : first.offset + 512])
    header[edit.TEXT_PLACE_AT : edit.TEXT_PLACE_AT + 8] = bytes(8)
    pv[first.offset : first.offset + 512] = edit.sealed_area(header)
    assert list(volumes(bytes(pv))) == ["sys-root"]


def test_the_bare_disk_is_named_as_such_where_it_is_broken():
    pv = pvs.load("mute")
    with pytest.raises(BakeryError, match=r"^the LVM disk: it has no metadata") as caught:
        lvm.read(lambda offset, length: pv[offset : offset + length], BARE)
    assert "every disk of its volume group" in caught.value.hint


def test_metadata_of_several_groups_is_refused():
    text = edit.text_of(pvs.load("split"))
    assert "2 volume groups" in refusal(edit.with_text(pvs.load("split"), text + b"more { }"))
    assert "0 volume groups" in refusal(edit.with_text(pvs.load("split"), b"version = 1"))


def test_names_are_as_long_as_lvm_has_them():
    name = b"a" * 127
    assert name.decode() in volumes(
        edit.replace_text(pvs.load("split"), b"docker-pool {", name + b" {")
    )


def test_volumes_larger_than_any_disk_are_refused():
    striped = edit.replace_text(pvs.load("copies"), b'"striped"', b'"thin"')
    for count, refused in ((1 << 43, True), ((1 << 43) - 1, False)):
        text = edit.text_of(striped).replace(b"extent_count = 3", b"extent_count = %d" % count)
        pv = edit.with_text(striped, text)
        if refused:
            assert "larger than any disk" in refusal(pv)
        else:
            assert "thin" in reasons(pv)["sys-root"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_volume_with_bytes_changed_at_random_is_read_or_refused(data):
    name = data.draw(st.sampled_from(["split", "copies", "ring", "kinds"]))
    pv = bytearray(pvs.load(name))
    place = st.one_of(st.integers(SECTOR, 2 * SECTOR), st.integers(AREA, AREA + 4096))
    for at, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=8)):
        pv[at] = value
    if data.draw(st.booleans()):
        pv[SECTOR : 2 * SECTOR] = edit.sealed_label(pv[SECTOR : 2 * SECTOR])
        pv[AREA : AREA + SECTOR] = edit.sealed_area(pv[AREA : AREA + SECTOR])
    check_read(bytes(pv))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_forged_text_with_right_checksums_is_read_or_refused(data):
    pv = pvs.load("split")
    text = bytearray(edit.text_of(pv))
    places = st.integers(0, len(text) - 1)
    for at in data.draw(st.lists(places, max_size=6)):
        text[at] = data.draw(st.sampled_from(b'09-"{}[]=,#\\ \n\x00\xffaz'))
    check_read(edit.with_text(pv, bytes(text)))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=4096))
def test_any_bytes_are_read_or_refused(data):
    check_read(data)
    check_read(bytes(SECTOR) + b"LABELONE" + data)


def check_read(pv: bytes) -> None:
    """Whatever comes back lies inside the volume."""
    try:
        found = read(pv)
    except BakeryError:
        return
    for volume in found.volumes if found else ():
        assert volume.name == os.path.basename(volume.name)  # noqa: PTH119 - a name, not a path
        for segment in volume.segments:
            assert segment.disk_offset >= START
            assert segment.disk_offset + segment.length <= START + pvs.SIZE_BYTES
