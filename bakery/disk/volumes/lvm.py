"""LVM2: which bytes of the disk a logical volume is made of.

What a volume group's metadata means: lvm(8), vgcfgbackup(8), and lib/format_text/import_vsn1.c
of lvm2, which reads it. docs/lvm.md tells the whole way from the label to the bytes. Volumes
made of anything but runs of this disk's physical volumes are listed with the reason they cannot
be used.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from bakery.disk.extents import Extent, ReadAt
from bakery.disk.volumes import lvm_members
from bakery.disk.volumes.lvm_config import Section, integer, sections, string
from bakery.disk.volumes.lvm_label import SECTOR_BYTES
from bakery.disk.volumes.lvm_members import PHYSICAL, Member, blamed, identifier
from bakery.disk.volumes.volumes import LogicalVolume, Segment, VolumeGroup
from bakery.host.errors import BakeryError

NAME_LIMIT = 127
SIZE_LIMIT_BYTES = 1 << 63
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*\Z")
# What lvmraid(7), lvmthin(7), lvmcache(7) and lvmvdo(7) call the types that are no plain runs.
_KINDS = {
    "thin": "a thin volume",
    "thin-pool": "a pool of thin volumes",
    "cache": "a cached volume",
    "cache-pool": "a pool of caches",
    "writecache": "a cached volume",
    "mirror": "a mirror",
    "snapshot": "a snapshot",
    "vdo": "a compressed volume",
    "vdo-pool": "a pool of compressed volumes",
}


class _Physical(msgspec.Struct, frozen=True):
    """A physical volume as the metadata tells of it."""

    seen_as: str
    """`NAME (last seen as DEVICE)`."""
    data_offset: int | None
    """Its first extent, in bytes from the start of the disk; None: it is not on this disk."""
    extent_count: int


class _Group(msgspec.Struct, frozen=True):
    name: str
    extent_bytes: int
    physicals: dict[str, _Physical]
    stores: frozenset[str]
    """Volumes that are not their own: they hold what a snapshot sets aside."""
    merging: frozenset[str]
    """Volumes a snapshot is being merged back into."""


class _Unplaced(Exception):
    """Why the bytes of a logical volume cannot be told."""


def read(read_at: ReadAt, places: Iterable[tuple[int, Extent]]) -> list[VolumeGroup]:
    """The volume groups of the physical volumes at `places`.

    A place is the number of a partition (0: the bare disk) and its bytes on the disk, which
    `read_at(offset, length)` reads; offsets in the answer are the disk's too. A physical volume
    that belongs to no group adds none. Raises BakeryError where the metadata is damaged, lies
    elsewhere, or puts volumes where they cannot be.
    """
    found = []
    for group in lvm_members.groups(read_at, places):
        with blamed(group.members[0].partition):
            found.append(_volume_group(group))
    names = [group.name for group in found]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise BakeryError(
            f"the disk holds two volume groups of the name {twin}",
            "rename one of them where the image was made: vgrename(8)",
        )
    return found


def _volume_group(told: lvm_members.Group) -> VolumeGroup:
    body = told.body
    extent_bytes = integer(body, "extent_size") * SECTOR_BYTES
    if extent_bytes == 0:
        raise BakeryError("its extents have no size")
    volumes = dict(sections(body, "logical_volumes"))
    physicals = _physicals(told, extent_bytes)
    group = _Group(
        name=_checked_name(told.name),
        extent_bytes=extent_bytes,
        physicals=physicals,
        stores=_named_in_segments(volumes, "cow_store"),
        merging=_named_in_segments(volumes, "merging_store", of="origin"),
    )
    used: list[tuple[Extent, str]] = []
    found = [_logical(group, lv, entry, used) for lv, entry in volumes.items()]
    _refuse_overlaps(used)
    visible = (lv for lv, entry in zip(found, volumes.values(), strict=True) if _is_visible(entry))
    return VolumeGroup(
        name=group.name,
        uuid=string(body, "id"),
        extent_size_bytes=extent_bytes,
        partitions=tuple(member.partition for member in told.members),
        volumes=tuple(visible),
        missing=tuple(p.seen_as for p in physicals.values() if p.data_offset is None),
    )


def _physicals(group: lvm_members.Group, extent_bytes: int) -> dict[str, _Physical]:
    """The physical volumes of a group by name, those on other disks included."""
    here = {member.label.uuid: member for member in group.members}
    found: dict[str, _Physical] = {}
    for name, told in sections(group.body, PHYSICAL):
        device = told.get("device")
        known = device[:NAME_LIMIT] if isinstance(device, str) else ""
        member, count = here.get(identifier(told)), integer(told, "pe_count")
        start = integer(told, "pe_start") * SECTOR_BYTES
        found[name] = _Physical(
            seen_as=name[:NAME_LIMIT] + (f" (last seen as {known})" if known else ""),
            data_offset=_data_offset(member, start, count * extent_bytes) if member else None,
            extent_count=count,
        )
    return found


def _data_offset(member: Member, start: int, size: int) -> int:
    """Where on the disk a physical volume's extents begin; all `size` bytes are its own."""
    offset = member.window.offset + start
    if offset + size > member.window.end:
        with blamed(member.partition):
            raise BakeryError(
                f"it reaches {offset + size - member.window.end} bytes "
                "beyond the end of its partition",
                "the image is cut short; take a new one",
            )
    return offset


def _logical(
    group: _Group, name: str, told: Section, used: list[tuple[Extent, str]]
) -> LogicalVolume:
    """One logical volume; the bytes it takes up are added to `used`."""
    segments = list(_segments(name, told))
    size = sum(integer(segment, "extent_count") for segment in segments) * group.extent_bytes
    if size >= SIZE_LIMIT_BYTES:
        raise BakeryError(f"the volume {name!r} is larger than any disk")
    volume = LogicalVolume(group.name, _checked_name(name), size)
    try:
        placed = tuple(_run(group, name, segment) for segment in segments)
    except _Unplaced as reason:
        return msgspec.structs.replace(volume, unusable=str(reason))
    used += [(Extent(s.disk_offset, s.length), name) for s in placed]
    if name in group.stores:
        return msgspec.structs.replace(volume, unusable="it is the store of a snapshot")
    if name in group.merging:
        return msgspec.structs.replace(volume, unusable="a snapshot is being merged into it")
    return msgspec.structs.replace(volume, segments=placed)


def _segments(name: str, told: Section) -> Iterator[Section]:
    """The segments of a volume, in order, without gap."""
    count = integer(told, "segment_count")
    if count != sum(isinstance(value, dict) for value in told.values()):
        raise BakeryError(f"the volume {name!r} does not have the {count} segments it declares")
    position = 0
    for number in range(1, count + 1):
        segment = told.get(f"segment{number}")
        if not isinstance(segment, dict) or integer(segment, "start_extent") != position:
            raise BakeryError(f"the segments of the volume {name!r} do not follow one another")
        length = integer(segment, "extent_count")
        if length == 0:
            raise BakeryError(f"the volume {name!r} has a segment without extents")
        position += length
        yield segment


def _run(group: _Group, lv: str, segment: Section) -> Segment:
    """The run of bytes that a segment of the volume `lv` is; _Unplaced: it is none."""
    kind = string(segment, "type")
    if kind not in ("striped", "linear"):
        words = _KINDS.get(kind, "a RAID volume" if kind.startswith("raid") else "no run of bytes")
        raise _Unplaced(f"it is {words} (LVM type {kind[:NAME_LIMIT]})")
    count = integer(segment, "stripe_count")
    if count != 1:
        raise _Unplaced(f"it is spread over {count} stripes")
    match segment.get("stripes"):
        case [str(name), int(place)] if place >= 0:
            pass
        case _:
            raise BakeryError("a segment does not say where it lies")
    physical = group.physicals.get(name)
    if physical is None:
        raise _Unplaced(f"it lies on another volume, {name[:NAME_LIMIT]}")
    if physical.data_offset is None:
        raise _Unplaced(
            f"it lies on the physical volume {physical.seen_as}, which is not on this disk"
        )
    length = integer(segment, "extent_count")
    if place + length > physical.extent_count:
        raise BakeryError(f"the volume {lv!r} reaches beyond the end of its physical volume")
    return Segment(
        lv_offset=integer(segment, "start_extent") * group.extent_bytes,
        disk_offset=physical.data_offset + place * group.extent_bytes,
        length=length * group.extent_bytes,
    )


def _refuse_overlaps(used: list[tuple[Extent, str]]) -> None:
    for (first, one), (second, other) in pairwise(sorted(used)):
        if second.offset < first.end:
            raise BakeryError(f"the volumes {one!r} and {other!r} share bytes")


def _named_in_segments(volumes: dict[str, Section], key: str, of: str = "") -> frozenset[str]:
    """The names under `of` (or `key` itself) in the segments, of any volume, that have `key`."""
    segments = (s for told in volumes.values() for s in told.values() if isinstance(s, dict))
    names = (segment.get(of or key) for segment in segments if key in segment)
    return frozenset(name for name in names if isinstance(name, str))


def _is_visible(told: Section) -> bool:
    status = told.get("status")
    return isinstance(status, list) and "VISIBLE" in status


def _checked_name(name: str) -> str:
    """A name as lvm(8), VALID NAMES, has it: it goes into device names and kernel arguments."""
    if len(name) > NAME_LIMIT or not _NAME.match(name) or name in (".", ".."):
        raise BakeryError(f"it has a volume or group of the name {name[:NAME_LIMIT]!r}")
    return name
