"""Where each sample's partitions lie, and the table that says so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakery.host.run import run
from bakery.samples.variants import MIB, Variant

SECTOR_BYTES = 512
FIRST_BYTE = 1 * MIB
ESP_BYTES = 200 * MIB
BOOT_BYTES = 300 * MIB
GPT_TAIL_BYTES = 1 * MIB  # room for the backup table, kept aligned

Role = Literal["esp", "boot", "root", "pv"]

# Partition types: MBR ids, and the GUIDs sfdisk knows by one letter or in full (sfdisk(8)).
MBR_TYPES = {"boot": "83", "root": "83", "pv": "8e"}
GPT_TYPES = {
    "esp": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "boot": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "root": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "pv": "E6D6D379-F507-44C2-A23C-238F2A3DF928",
}


@dataclass(frozen=True)
class Partition:
    """One partition: its purpose, and its place in bytes."""

    role: Role
    start: int
    size: int

    @property
    def place(self) -> tuple[int, int]:
        """(offset, length) in the disk."""
        return self.start, self.size


@dataclass(frozen=True)
class DiskLayout:
    """A partition table, `mbr` or `gpt`, on a disk of `size` bytes."""

    table: Literal["mbr", "gpt"]
    size: int
    partitions: tuple[Partition, ...]

    def of(self, role: Role) -> Partition:
        """The partition with that purpose."""
        return next(p for p in self.partitions if p.role == role)

    def has(self, role: Role) -> bool:
        """Whether there is a partition with that purpose."""
        return any(p.role == role for p in self.partitions)

    def number(self, role: Role) -> int:
        """Its number, from 1."""
        return self.partitions.index(self.of(role)) + 1

    def grub_device(self, role: Role) -> str:
        """Its name in GRUB, on the first disk."""
        scheme = "msdos" if self.table == "mbr" else "gpt"
        return f"(hd0,{scheme}{self.number(role)})"

    def script(self) -> str:
        """The table in sfdisk's own language."""
        label = "dos" if self.table == "mbr" else "gpt"
        lines = [f"label: {label}", f"sector-size: {SECTOR_BYTES}"]
        for partition in self.partitions:
            types = MBR_TYPES if self.table == "mbr" else GPT_TYPES
            fields = [
                f"start={partition.start // SECTOR_BYTES}",
                f"size={partition.size // SECTOR_BYTES}",
                f"type={types[partition.role]}",
            ]
            if self.table == "mbr" and partition == self.partitions[0]:
                fields.append("bootable")
            lines.append(", ".join(fields))
        return "\n".join(lines) + "\n"


def layout_of(variant: Variant) -> DiskLayout:
    """The disk of `variant`: small partitions first, the last one to the end."""
    gpt = variant.firmware == "uefi"
    sizes: list[tuple[Role, int]] = [("esp", ESP_BYTES)] if gpt else []
    if variant.boot_partition:
        sizes.append(("boot", BOOT_BYTES))
    partitions: list[Partition] = []
    start = FIRST_BYTE
    for role, size in sizes:
        partitions.append(Partition(role, start, size))
        start += size
    end = variant.disk_bytes - (GPT_TAIL_BYTES if gpt else 0)
    partitions.append(Partition("pv" if variant.lvm else "root", start, end - start))
    return DiskLayout("gpt" if gpt else "mbr", variant.disk_bytes, tuple(partitions))


def write_table(disk: Path, layout: DiskLayout) -> None:
    """Write the partition table to the file `disk`."""
    run(
        ["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk],
        stdin=layout.script().encode(),
    )
