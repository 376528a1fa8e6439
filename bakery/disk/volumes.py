"""What a disk holds, as plain data: partitions, volume groups, and the volumes to look into.

`survey` of either engine answers with one `Survey`; nothing here reads a byte.
"""

import msgspec

from bakery.disk.extents import Extent

LVM_MEMBER = "LVM2_member"
LUKS = "crypto_LUKS"


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
    """A volume group whose physical volume lies in partition `partition` (0: the bare disk)."""

    name: str
    uuid: str
    extent_size_bytes: int
    partition: int
    volumes: tuple[LogicalVolume, ...]


class Volume(msgspec.Struct, frozen=True):
    """A range of bytes that can hold a filesystem: a partition, a logical volume, the bare disk.

    `type` is blkid's word (`xfs`, `ext4`, `LVM2_member`, `crypto_LUKS`, `swap`; empty: nothing
    recognised). `place` lists its bytes on the disk, in the volume's own order.
    """

    device: str
    size_bytes: int
    place: tuple[Extent, ...]
    type: str = ""
    uuid: str = ""
    label: str = ""


class Survey(msgspec.Struct, frozen=True):
    """Everything about a disk that can be told without opening a file in it."""

    size_bytes: int
    table: PartitionTable | None
    groups: tuple[VolumeGroup, ...]
    volumes: tuple[Volume, ...]
    boot_code: bool = False
    """Whether the first sector holds code a BIOS would run (its first 440 bytes are not zero)."""

    def volume(self, device: str) -> Volume | None:
        """The volume of that device name, or None."""
        return next((v for v in self.volumes if v.device == device), None)

    def logical_volume(self, device: str) -> LogicalVolume | None:
        """The logical volume of that device name, or None."""
        every = (lv for group in self.groups for lv in group.volumes)
        return next((lv for lv in every if lv.device == device), None)

    def group_of(self, device: str) -> VolumeGroup | None:
        """The volume group that holds the logical volume of that device name, or None."""
        return next((g for g in self.groups if any(v.device == device for v in g.volumes)), None)
