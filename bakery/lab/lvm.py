"""A physical volume with one logical volume, laid down by the LVM tools themselves."""

from functools import partial
from pathlib import Path

from bakery.lab.disk_layout import Partition
from bakery.lab.mounts import loop_device
from bakery.lab.variants import MIB, LogicalVolume
from bakery.run import run

EXTENT_BYTES = 4 * MIB
PE_START_BYTES = 1 * MIB  # pvcreate's default alignment, asked for by name
NOT_ACTIVE = ("--activate", "n", "--zero", "n", "--wipesignatures", "n")


def make_volume(disk: Path, partition: Partition, volume: LogicalVolume) -> None:
    """Write label, volume group and logical volume into `partition` of the file `disk`.

    Only metadata is written: nothing is activated, so the kernel's device-mapper is not needed.
    The tools keep their own files beside `disk`.
    """
    with loop_device(disk, partition.start, partition.size) as device:
        lvm = partial(_lvm, disk.parent, device)
        lvm("pvcreate", "--dataalignment", f"{PE_START_BYTES}b", device)
        lvm("vgcreate", "--physicalextentsize", f"{EXTENT_BYTES}b", volume.vg, device)
        # One call a segment: given all ranges at once, the allocator takes the largest first.
        for number, (first, count) in enumerate(volume.segments):
            extents = f"{device}:{first}-{first + count - 1}"
            if number == 0:
                lvm("lvcreate", *NOT_ACTIVE, f"-l{count}", "--name", volume.lv, volume.vg, extents)
            else:
                lvm("lvextend", f"-l+{count}", f"{volume.vg}/{volume.lv}", extents)


def segments_in_disk(partition: Partition, volume: LogicalVolume) -> list[tuple[int, int]]:
    """The logical volume's pieces in its own order, as (offset in the disk, length) in bytes."""
    return [
        (partition.start + PE_START_BYTES + first * EXTENT_BYTES, count * EXTENT_BYTES)
        for first, count in volume.segments
    ]


def _lvm(scratch: Path, device: str, tool: str, *words: str) -> None:
    """Run an LVM tool that sees `device` alone and keeps its files in `scratch`."""
    own = f'devices {{ filter=["a|^{device}$|","r|.*|"] use_devicesfile=0 }}'
    run(
        [tool, "--driverloaded", "n", "--yes", "--quiet", "--config", own, *words],
        env={"LVM_SYSTEM_DIR": str(scratch), "LVM_SUPPRESS_FD_WARNINGS": "1"},
        timeout=120,
    )
