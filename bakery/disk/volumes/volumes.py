"""What a disk holds, as plain data: partitions, volume groups, and the volumes to look into.

`survey` of either engine answers with one `Survey`; nothing here reads a byte.
"""

import msgspec

from bakery.disk.extents import Extent

LVM_MEMBER = "LVM2_member"
LUKS = "crypto_LUKS"
TABLE = "partition table"
"""The type of a partition that is a disk itself."""
TOP_LEVEL = 5
"""The number of a btrfs's top level, which is no subvolume of anything (BTRFS_FS_TREE_OBJECTID)."""


class Partition(msgspec.Struct, frozen=True):
    """One entry of the partition table. Bytes are from the start of the disk."""

    number: int
    start_bytes: int
    size_bytes: int
    type: str
    """MBR: the type in hexadecimal (`83`, `8e`); GPT: the type GUID in upper case."""
    name: str = ""
    uuid: str = ""
    bootable: bool = False

    @property
    def device(self) -> str:
        """Its name as a guest's first disk would show it: `/dev/sda2`."""
        return f"/dev/sda{self.number}"


class PartitionTable(msgspec.Struct, frozen=True):
    """`label` is `dos` or `gpt`; `id` the disk identifier."""

    label: str
    id: str
    partitions: tuple[Partition, ...]
    sector_bytes: int = 512
    """The sectors of the disks that it is a table for; on others nothing finds it."""


class Segment(msgspec.Struct, frozen=True):
    """A run of a logical volume: `length` bytes from `lv_offset` on, at `disk_offset`."""

    lv_offset: int
    disk_offset: int
    length: int


class LogicalVolume(msgspec.Struct, frozen=True):
    """A logical volume; `unusable` says why its bytes cannot be placed (empty: they can)."""

    vg: str
    name: str
    size_bytes: int
    segments: tuple[Segment, ...] = ()
    unusable: str = ""

    @property
    def device(self) -> str:
        """`/dev/VG/LV`."""
        return f"/dev/{self.vg}/{self.name}"

    @property
    def mapper(self) -> str:
        """`/dev/mapper/VG-LV`, hyphens doubled (dmsetup(8), lvm(8): VALID NAMES)."""
        doubled = (self.vg.replace("-", "--"), self.name.replace("-", "--"))
        return "/dev/mapper/" + "-".join(doubled)


class VolumeGroup(msgspec.Struct, frozen=True):
    """A volume group with physical volumes in `partitions` (0: the bare disk), in their order.

    `missing` names the physical volumes that are not on this disk, each with the device that it
    was last seen as.
    """

    name: str
    uuid: str
    extent_size_bytes: int
    partitions: tuple[int, ...]
    volumes: tuple[LogicalVolume, ...]
    missing: tuple[str, ...] = ()

    @property
    def not_one_partition(self) -> str:
        """Why no one partition is the whole group; empty where one is, or the bare disk."""
        if self.missing:
            return f"the volume group {self.name} lacks its physical volume {self.missing[0]}"
        if len(self.partitions) > 1:
            numbers = ", ".join(map(str, self.partitions))
            return f"the volume group {self.name} lies in several partitions: {numbers}"
        return ""


class Subvolume(msgspec.Struct, frozen=True):
    """A subvolume of a btrfs: its number, its path from the top level, without a slash in front.

    The default one is what is mounted where none is named; where none is, that is the top level.
    """

    id: int
    path: str
    is_default: bool = False


class Volume(msgspec.Struct, frozen=True):
    """A range of bytes that can hold a filesystem: a partition, a logical volume, the bare disk.

    `type` is blkid's word (`xfs`, `ext4`, `LVM2_member`, `crypto_LUKS`, `swap`; empty: nothing
    recognised). `place` lists its bytes on the disk, in the volume's own order; it is empty where
    only a kernel puts the volume together (a thin volume, an array, LUKS). Of a btrfs it is
    the top level, or the files of one of its `subvolumes` (`at`): the same bytes, another root.
    """

    device: str
    size_bytes: int
    place: tuple[Extent, ...]
    type: str = ""
    uuid: str = ""
    label: str = ""
    subvolumes: tuple[Subvolume, ...] = ()
    unreadable: str = ""
    """Why its subvolumes cannot be told; empty where they can, or there are none to tell of."""
    subvolume: str = ""
    """The path of the subvolume that is meant; empty for the whole."""
    filesystem_bytes: int = 0
    """What its filesystem takes the volume's size to be; 0 where it does not tell."""

    @property
    def opened(self) -> str:
        """The device that the content of a LUKS shows as (systemd-cryptsetup-generator(8))."""
        return f"/dev/mapper/luks-{self.uuid}"

    @property
    def cut_short(self) -> str:
        """Why no kernel mounts its filesystem: that is larger than the volume. Else empty."""
        beyond = self.filesystem_bytes - self.size_bytes
        if beyond <= 0:
            return ""
        return (
            f"the {self.type} in {self.device} spans {self.filesystem_bytes} bytes, "
            f"{beyond} more than {self.device} has"
        )

    @property
    def name(self) -> str:
        """What it is told apart by: `/dev/sda3`, of a subvolume `/dev/sda3[/root]` (findmnt(8))."""
        return f"{self.device}[/{self.subvolume}]" if self.subvolume else self.device

    @property
    def subvolume_id(self) -> int:
        """The number of the subvolume that is meant."""
        return next((s.id for s in self.subvolumes if s.path == self.subvolume), TOP_LEVEL)

    def at(self, subvolume: Subvolume | None) -> "Volume":
        """The same volume, of which the files of that subvolume are meant; None: the top level."""
        return msgspec.structs.replace(self, subvolume=subvolume.path if subvolume else "")

    @property
    def mounted(self) -> "Volume":
        """What is seen where it is mounted without options."""
        return self.at(next((s for s in self.subvolumes if s.is_default), None))


class Survey(msgspec.Struct, frozen=True):
    """Everything about a disk that can be told without opening a file in it."""

    size_bytes: int
    table: PartitionTable | None
    groups: tuple[VolumeGroup, ...]
    volumes: tuple[Volume, ...]
    boot_code: bool = False
    """Whether the first sector holds code a BIOS would run (its first 440 bytes are not zero)."""

    @property
    def sector_bytes(self) -> int:
        """The sectors of the disks that this one was made for; 512 without a partition table."""
        return self.table.sector_bytes if self.table else 512

    def volume(self, name: str) -> Volume | None:
        """The volume of that name, which is its device's or a subvolume's, or None."""
        device, _, rest = name.partition("[/")
        volume = next((v for v in self.volumes if v.device == device), None)
        if volume is None or not rest:
            return volume
        views = (volume.at(subvolume) for subvolume in volume.subvolumes)
        return next((view for view in views if view.name == name), None)

    def logical_volume(self, device: str) -> LogicalVolume | None:
        """The logical volume of that device name, or None."""
        every = (lv for group in self.groups for lv in group.volumes)
        return next((lv for lv in every if lv.device == device), None)

    def group_of(self, device: str) -> VolumeGroup | None:
        """The volume group that holds the logical volume of that device name, or None."""
        return next((g for g in self.groups if any(v.device == device for v in g.volumes)), None)
