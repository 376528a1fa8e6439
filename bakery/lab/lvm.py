"""A physical volume with one logical volume, laid down by the LVM tools themselves."""

from pathlib import Path

from bakery.lab.disk_layout import Partition
from bakery.lab.mounts import loop_device
from bakery.lab.variants import MIB, LogicalVolume
from bakery.run import Arg, run

EXTENT_BYTES = 4 * MIB
PE_START_BYTES = 1 * MIB  # pvcreate's default alignment, asked for by name


def make_volume(disk: Path, partition: Partition, volume: LogicalVolume) -> None:
    """Write label, volume group and logical volume into `partition` of the file `disk`.

    Only metadata is written: nothing is activated, so the kernel's device-mapper is not needed.
    The tools keep their own files beside `disk`.
    """
    with loop_device(disk, partition.start, partition.size) as device:
        ranges = ":".join(f"{first}-{first + count - 1}" for first, count in volume.segments)
        _lvm(disk.parent, device, ["pvcreate", "--dataalignment", f"{PE_START_BYTES}b", device])
        _lvm(disk.parent, device, ["vgcreate", "--physicalextentsize", f"{EXTENT_BYTES}b",
                               volume.vg, device])
        _lvm(disk.parent, device, ["lvcreate", "--activate", "n", "--zero", "n", "--wipesignatures",
                               "n", "--extents", str(volume.extents), "--name", volume.lv,
                               volume.vg, f"{device}:{ranges}"])


def segments_in_disk(partition: Partition, volume: LogicalVolume) -> list[tuple[int, int]]:
    """The logical volume's pieces in its own order, as (offset in the disk, length) in bytes."""
    return [
        (partition.start + PE_START_BYTES + first * EXTENT_BYTES, count * EXTENT_BYTES)
        for first, count in volume.segments
    ]


def _lvm(scratch: Path, device: str, command: list[Arg]) -> None:
    """Run an LVM tool that sees `device` alone and keeps its files in `scratch`."""
    own = f'devices {{ filter=["a|^{device}$|","r|.*|"] use_devicesfile=0 }}'
    name, *words = command
    run([name, "--driverloaded", "n", "--yes", "--quiet", "--config", own, *words],
        env={"LVM_SYSTEM_DIR": str(scratch), "LVM_SUPPRESS_FD_WARNINGS": "1"}, timeout=120)
