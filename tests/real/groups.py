"""A volume group over several partitions of one disk, by the LVM tools themselves."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bakery.samples.lvm import EXTENT_BYTES, NOT_ACTIVE, PE_START_BYTES, call
from bakery.samples.mounts import loop_device
from tests.real.disks import Partition


def spanning_volume(
    disk: Path, group: str, name: str, partitions: list[Partition]
) -> list[tuple[int, int]]:
    """Make a group of `partitions`, and in it one logical volume over all of their room.

    As `vgextend` and `lvextend` leave it after a disk was grown. Only metadata is written; the
    volume's pieces in the disk are returned in its own order, (offset, length) in bytes.
    """
    with ExitStack() as held:
        devices = [held.enter_context(loop_device(disk, *part.place)) for part in partitions]
        lvm = partial(call, disk.parent, devices)
        lvm("pvcreate", "--dataalignment", f"{PE_START_BYTES}b", *devices)
        lvm("vgcreate", "-s", f"{EXTENT_BYTES}b", group, *devices)
        pieces: list[tuple[int, int]] = []
        for device, partition in zip(devices, partitions, strict=True):
            count = (partition.size - PE_START_BYTES) // EXTENT_BYTES
            if pieces:
                lvm("lvextend", f"-l+{count}", f"{group}/{name}", device)
            else:
                words = (*NOT_ACTIVE, f"-l{count}", "--name", name, group, device)
                lvm("lvcreate", *words)
            pieces.append((partition.start + PE_START_BYTES, count * EXTENT_BYTES))
    return pieces
