"""LVM2: which bytes of the disk a logical volume is made of.

What a volume group's metadata means: lvm(8), vgcfgbackup(8), and lib/format_text/import_vsn1.c
of lvm2, which reads it. docs/lvm.md tells the whole way from the label to the bytes. Volumes
made of anything but runs of one physical volume are listed with the reason they cannot be used.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from bakery.disk import lvm_config, lvm_label
from bakery.disk.extents import Extent
from bakery.disk.lvm_config import Section, Value
from bakery.disk.lvm_label import SECTOR_BYTES, Label, ReadAt
from bakery.disk.volumes import LogicalVolume, Segment, VolumeGroup
from bakery.errors import BakeryError

NAME_LIMIT = 127
SIZE_LIMIT_BYTES = 1 << 63
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*\Z")
_RESTORE = "restore the metadata with vgcfgrestore(8), or take the image anew"


class _Physical(msgspec.Struct, frozen=True):
    """A physical volume as the metadata tells of it; `here`: it is the one being read."""

    name: str
    device: str
    here: bool
    data_offset: int
    """Its first extent, in bytes from the start of the disk."""
    extent_count: int


class _Group(msgspec.Struct, frozen=True):
    name: str
    extent_bytes: int
    physicals: dict[str, _Physical]
    stores: frozenset[str]
    """Volumes that are not their own: they hold what a snapshot sets aside."""
    merging: frozenset[str]
    """Volumes a snapshot is being merged back into."""


class _Run(msgspec.Struct, frozen=True):
    """`count` extents of a volume from `start` on, at extent `place` of a physical volume."""

    start: int
    count: int
    physical: _Physical
    place: int


class _Unplaced(Exception):
    """Why the bytes of a logical volume cannot be told."""


def read(
    read_at: ReadAt, pv_offset_bytes: int, pv_size_bytes: int, partition: int
) -> VolumeGroup | None:
    """The volume group of the physical volume in a partition (`partition` 0: on the bare disk).

    `read_at(offset, length)` reads the disk; offsets in the answer are the disk's too. None
    where there is no physical volume, or one that belongs to no group. Raises BakeryError where
    the metadata is damaged, lies elsewhere, or puts volumes where they cannot be.
    """

    def read_volume(offset: int, length: int) -> bytes:
        room = max(0, pv_size_bytes - offset)
        return read_at(pv_offset_bytes + offset, min(length, room)) if room else b""

    where = f"the LVM physical volume in partition {partition}" if partition else "the LVM disk"
    try:
        label = lvm_label.read_label(read_volume)
        text = _newest(read_volume, label) if label else None
        if label is None or text is None:
            return None
        window = Extent(pv_offset_bytes, pv_size_bytes)
        return _volume_group(text, label, window, partition)
    except BakeryError as error:
        raise BakeryError(f"{where}: {error.message}", error.hint or _RESTORE) from error


def _newest(read_at: ReadAt, label: Label) -> Section | None:
    """The metadata of the highest sequence number among the copies that can be believed."""
    if not label.areas:
        raise BakeryError(
            "it keeps no metadata of its own", "the image needs every disk of its volume group"
        )
    good: list[Section | None] = []
    damage: list[str] = []
    for area in label.areas:
        try:
            text = lvm_label.read_text(read_at, area)
            good.append(lvm_config.parse(text) if text else None)
        except BakeryError as error:
            damage.append(error.message)
    if not good:
        raise BakeryError("no copy of the metadata can be believed: " + "; ".join(damage))
    told = [copy for copy in good if copy is not None]
    return max(told, key=_sequence_number, default=None)


def _sequence_number(metadata: Section) -> int:
    _, body = _only_group(metadata)
    return _integer(body, "seqno")


def _only_group(metadata: Section) -> tuple[str, Section]:
    groups = [(name, body) for name, body in metadata.items() if isinstance(body, dict)]
    if len(groups) != 1:
        raise BakeryError(f"its metadata tells of {len(groups)} volume groups instead of one")
    return groups[0]


def _volume_group(metadata: Section, label: Label, window: Extent, partition: int) -> VolumeGroup:
    name, body = _only_group(metadata)
    extent_bytes = _integer(body, "extent_size") * SECTOR_BYTES
    if extent_bytes == 0:
        raise BakeryError("its extents have no size")
    volumes = dict(_sections(body, "logical_volumes"))
    group = _Group(
        name=_checked_name(name),
        extent_bytes=extent_bytes,
        physicals=_physicals(body, label, window, extent_bytes),
        stores=_named_in_segments(volumes, "cow_store"),
        merging=_named_in_segments(volumes, "merging_store", of="origin"),
    )
    used: list[tuple[Extent, str]] = []
    found = [_logical(group, lv, told, used) for lv, told in volumes.items()]
    _refuse_overlaps(used)
    visible = (lv for lv, told in zip(found, volumes.values(), strict=True) if _is_visible(told))
    return VolumeGroup(
        name=group.name,
        uuid=_string(body, "id"),
        extent_size_bytes=extent_bytes,
        partition=partition,
        volumes=tuple(visible),
    )


def _physicals(
    body: Section, label: Label, window: Extent, extent_bytes: int
) -> dict[str, _Physical]:
    found: dict[str, _Physical] = {}
    for name, told in _sections(body, "physical_volumes"):
        start = window.offset + _integer(told, "pe_start") * SECTOR_BYTES
        count = _integer(told, "pe_count")
        device = told.get("device")
        found[name] = _Physical(
            name=name,
            device=device if isinstance(device, str) else "",
            here=_string(told, "id").replace("-", "") == label.uuid,
            data_offset=start,
            extent_count=count,
        )
    here = [p for p in found.values() if p.here]
    if len(here) != 1:
        raise BakeryError("its metadata does not tell of this physical volume once")
    end = here[0].data_offset + here[0].extent_count * extent_bytes
    if end > window.end:
        raise BakeryError(
            f"it reaches {end - window.end} bytes beyond the end of its partition",
            "the image is cut short; take it anew",
        )
    return found


def _logical(
    group: _Group, name: str, told: Section, used: list[tuple[Extent, str]]
) -> LogicalVolume:
    """One logical volume; the bytes it takes up are added to `used`."""
    segments = list(_segments(name, told))
    size = sum(_integer(segment, "extent_count") for segment in segments) * group.extent_bytes
    if size >= SIZE_LIMIT_BYTES:
        raise BakeryError(f"the volume {name!r} is larger than any disk")
    volume = LogicalVolume(group.name, _checked_name(name), size)
    try:
        runs = [_run(group, segment) for segment in segments]
    except _Unplaced as reason:
        return msgspec.structs.replace(volume, unusable=str(reason))
    placed = tuple(_place(group, run, name) for run in runs)
    used += [(Extent(s.disk_offset, s.length), name) for s in placed]
    if name in group.stores:
        return msgspec.structs.replace(volume, unusable="it is the store of a snapshot")
    if name in group.merging:
        return msgspec.structs.replace(volume, unusable="a snapshot is being merged into it")
    return msgspec.structs.replace(volume, segments=placed)


def _segments(name: str, told: Section) -> Iterator[Section]:
    """The segments of a volume, in order, without gap."""
    count = _integer(told, "segment_count")
    if count != sum(isinstance(value, dict) for value in told.values()):
        raise BakeryError(f"the volume {name!r} has not the {count} segments it speaks of")
    position = 0
    for number in range(1, count + 1):
        segment = told.get(f"segment{number}")
        if not isinstance(segment, dict) or _integer(segment, "start_extent") != position:
            raise BakeryError(f"the segments of the volume {name!r} do not follow one another")
        length = _integer(segment, "extent_count")
        if length == 0:
            raise BakeryError(f"the volume {name!r} has a segment without extents")
        position += length
        yield segment


def _run(group: _Group, segment: Section) -> _Run:
    """A segment as a run of one physical volume; _Unplaced says why it is none."""
    kind = _string(segment, "type")
    if kind not in ("striped", "linear"):
        raise _Unplaced(f"it is of type {kind[:NAME_LIMIT]}, which is more than a run of bytes")
    count = _integer(segment, "stripe_count")
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
    if not physical.here:
        hint = f" (last seen as {physical.device[:NAME_LIMIT]})" if physical.device else ""
        raise _Unplaced(f"it lies on the physical volume {name}{hint}, which is another disk")
    return _Run(
        _integer(segment, "start_extent"), _integer(segment, "extent_count"), physical, place
    )


def _place(group: _Group, run: _Run, name: str) -> Segment:
    if run.place + run.count > run.physical.extent_count:
        raise BakeryError(f"the volume {name!r} reaches beyond the end of its physical volume")
    return Segment(
        lv_offset=run.start * group.extent_bytes,
        disk_offset=run.physical.data_offset + run.place * group.extent_bytes,
        length=run.count * group.extent_bytes,
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


def _sections(body: Section, key: str) -> Iterator[tuple[str, Section]]:
    inner = body.get(key, {})
    if not isinstance(inner, dict):
        raise _misfit(key)
    for name, value in inner.items():
        if not isinstance(value, dict):
            raise _misfit(key)
        yield name, value


def _integer(section: Section, key: str) -> int:
    value: Value | None = section.get(key)
    if not isinstance(value, int) or value < 0:
        raise _misfit(key)
    return value


def _string(section: Section, key: str) -> str:
    value: Value | None = section.get(key)
    if not isinstance(value, str):
        raise _misfit(key)
    return value


def _misfit(key: str) -> BakeryError:
    return BakeryError(f"its metadata has no proper {key!r}")
