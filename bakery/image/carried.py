"""What of a disk a layout carries: whose bytes go onto the node, and which names still hold there.

A base is written to a disk that has another partition table, or none: names that the old table
gave are gone in layouts `pv` and `lv`. A volume group travels whole or not at all.
"""

import msgspec

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.manifest.manifest import Layout
from bakery.system.device_names import Kind

OF_THE_TABLE: tuple[Kind, ...] = ("partuuid", "partlabel", "partition")
DYING: dict[Layout, tuple[Kind, ...]] = {
    "pv": OF_THE_TABLE,
    "lv": (*OF_THE_TABLE, "mapped", "unknown"),
    "disk": (),
}
"""The kinds of name that a layout takes from what it carries."""


class Carried(msgspec.Struct, frozen=True):
    """The part of a disk that a layout carries: ranges of bytes, and volume groups by name.

    `root` is the device of the root filesystem, whose bytes may lie where only a kernel can tell.
    """

    layout: Layout
    root: str
    place: tuple[Extent, ...]
    groups: frozenset[str] = frozenset()

    def has(self, volume: Volume, survey: Survey) -> bool:
        """Whether a volume travels: all its bytes do, or its group does."""
        group = survey.group_of(volume.device)
        if group is not None and group.name in self.groups:
            return True
        if volume.device == self.root:
            return True
        return bool(volume.place) and all(map(self._covers, volume.place))

    def keeps(self, kind: Kind) -> bool:
        """Whether names of that kind still mean what they meant, of what travels."""
        return kind not in DYING[self.layout]

    def _covers(self, part: Extent) -> bool:
        return any(p.offset <= part.offset and part.end <= p.end for p in self.place)


def carried(survey: Survey, layout: Layout, root: Volume) -> Carried:
    """What the layout carries, of a system whose root filesystem is in `root`."""
    if layout == "disk":
        names = frozenset(group.name for group in survey.groups)
        return Carried(layout, root.device, (Extent(0, survey.size_bytes),), names)
    if layout == "lv":
        return Carried(layout, root.device, root.place)
    group = survey.group_of(root.device)
    place = tuple(
        Extent(partition.start_bytes, partition.size_bytes)
        for partition in (survey.table.partitions if survey.table else ())
        if any(_lies_in(part, partition.start_bytes, partition.size_bytes) for part in root.place)
    )
    # A group on the bare disk is all of it.
    return Carried(layout, root.device, place, frozenset((group.name,) if group else ()))


def _lies_in(part: Extent, start: int, size: int) -> bool:
    return start <= part.offset and part.end <= start + size
