"""Which physical volumes of a disk make a volume group, and which copy of its metadata counts.

Each physical volume may hold copies of its group's metadata, old ones, or none; of all that can
be believed the one with the highest `seqno` is the group's (vgcfgbackup(8); lvm2,
lib/metadata/metadata.c). A volume without metadata of its own belongs where another's says.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bakery.disk.extents import Extent, ReadAt
from bakery.disk.volumes import lvm_config, lvm_label
from bakery.disk.volumes.lvm_config import Section, integer, sections, string
from bakery.disk.volumes.lvm_label import Label
from bakery.host.errors import BakeryError

RESTORE = "restore the metadata with vgcfgrestore(8), or take a new image"
PHYSICAL = "physical_volumes"
MUTE = "it has no metadata of its own"
EVERY_DISK = "the image needs every disk of its volume group"


class Blamed(BakeryError):
    """What is wrong with LVM on a disk; the message names the physical volume."""


class Member(NamedTuple):
    """A physical volume: its label, its partition (0: the bare disk), its room on the disk."""

    label: Label
    partition: int
    window: Extent


class Group(NamedTuple):
    """A volume group: its name, its metadata, and those of its members that are on this disk."""

    name: str
    body: Section
    members: tuple[Member, ...]


class _Read(NamedTuple):
    """A physical volume, the metadata on it that can be believed, and why there is none."""

    member: Member
    copies: tuple[tuple[str, Section], ...]
    """The group's name and its body."""
    lost: str


def groups(read_at: ReadAt, places: Iterable[tuple[int, Extent]]) -> list[Group]:
    """The groups of the physical volumes at `places`: numbers of partitions, bytes of the disk.

    BakeryError, with the physical volume named, where one cannot be believed.
    """
    found = [read for place in places if (read := _read(read_at, *place)) is not None]
    newest: dict[str, tuple[str, Section]] = {}
    for name, body in (copy for read in found for copy in read.copies):
        known = newest.get(string(body, "id"))
        if known is None or integer(known[1], "seqno") < integer(body, "seqno"):
            newest[string(body, "id")] = name, body
    told = [
        Group(name, body, tuple(read.member for read in found if _lists(body, read.member)))
        for name, body in newest.values()
    ]
    for read in found:
        with blamed(read.member.partition):
            _refuse_stray(read, told, [other.member for other in found])
    return told


@contextlib.contextmanager
def blamed(partition: int) -> Iterator[None]:
    """Name the physical volume in what is raised inside."""
    where = f"the LVM physical volume in partition {partition}" if partition else "the LVM disk"
    try:
        yield
    except Blamed:
        raise
    except BakeryError as error:
        raise Blamed(f"{where}: {error.message}", error.hint or RESTORE) from error


def _read(read_at: ReadAt, partition: int, window: Extent) -> _Read | None:
    """What is on one physical volume; None where there is none."""

    def read_volume(offset: int, length: int) -> bytes:
        room = max(0, window.length - offset)
        return read_at(window.offset + offset, min(length, room)) if room else b""

    with blamed(partition):
        label = lvm_label.read_label(read_volume)
        if label is None:
            return None
        copies, damage = [], []
        for area in label.areas:
            try:
                text = lvm_label.read_text(read_volume, area)
                copies.append(lvm_config.parse(text) if text else None)
            except BakeryError as error:
                damage.append(error.message)
        lost = "no copy of the metadata is valid: " + "; ".join(damage) if damage else MUTE
        told = tuple(_only_group(copy) for copy in copies if copy is not None)
        return _Read(Member(label, partition, window), told, "" if copies else lost)


def _only_group(metadata: Section) -> tuple[str, Section]:
    groups = [(name, body) for name, body in metadata.items() if isinstance(body, dict)]
    if len(groups) != 1:
        raise BakeryError(f"its metadata describes {len(groups)} volume groups instead of one")
    name, body = groups[0]
    string(body, "id")
    integer(body, "seqno")
    return name, body


def _lists(body: Section, member: Member) -> bool:
    """Whether a group counts this physical volume as its own."""
    return any(identifier(told) == member.label.uuid for _, told in sections(body, PHYSICAL))


def _refuse_stray(read: _Read, told: list[Group], members: list[Member]) -> None:
    """A physical volume is in one group, or in none and then has never been in any."""
    if sum(other.label.uuid == read.member.label.uuid for other in members) > 1:
        raise BakeryError("another partition has the same LVM identifier")
    uuid = read.member.label.uuid
    homes = [
        string(group.body, "id")
        for group in told
        for _, entry in sections(group.body, PHYSICAL)
        if identifier(entry) == uuid
    ]
    if not homes and read.lost:
        raise BakeryError(read.lost, "" if read.member.label.areas else EVERY_DISK)
    claims = {string(body, "id") for _, body in read.copies}
    if len(homes) > 1 or not claims <= set(homes):
        raise BakeryError("its metadata does not list this physical volume exactly once")


def identifier(physical: Section) -> str:
    """A physical volume's identifier as its label has it, without hyphens."""
    return string(physical, "id").replace("-", "")
