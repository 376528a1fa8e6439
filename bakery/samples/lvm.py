"""A physical volume with one logical volume, laid down by the LVM tools themselves."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bakery.host.run import run
from bakery.samples.disk_layout import Partition
from bakery.samples.mounts import loop_device
from bakery.samples.variants import MIB, LogicalVolume

EXTENT_BYTES = 4 * MIB
PE_START_BYTES = 1 * MIB  # pvcreate's default alignment, asked for by name
NOT_ACTIVE = ("--activate", "n", "--zero", "n", "--wipesignatures", "n")


def make_volume(disk: Path, partition: Partition, volume: LogicalVolume) -> None:
    """Write label, volume group and logical volume into `partition` of the file `disk`.

    Only metadata is written: nothing is activated, so the kernel's device-mapper is not needed.
    The tools keep their own files beside `disk`.
    """
    with loop_device(disk, partition.start, partition.size) as device:
        lvm = partial(call, disk.parent, [device])
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


def call(scratch: Path, devices: Sequence[str], tool: str, *words: str) -> None:
    """Run an LVM tool that sees `devices` alone and keeps its files in `scratch`."""
    seen = ",".join(f'"a|^{device}$|"' for device in devices)
    own = (
        f'devices {{ filter=[{seen},"r|.*|"] use_devicesfile=0 }} '
        f'global {{ locking_dir="{scratch}/lvm-lock" }}'
    )
    run(
        [tool, "--driverloaded", "n", "--yes", "--quiet", "--config", own, *words],
        env={"LVM_SYSTEM_DIR": str(scratch), "LVM_SUPPRESS_FD_WARNINGS": "1"},
        timeout=120,
    )
