"""A disk around a partition's bytes: the partition table in front, the bytes where they lie.

Nothing is copied: a VMDK descriptor names the two files that follow each other, and QEMU shows
them as one disk. Sources: VMware Virtual Disk Format 5.0, "The Extent Description" (a FLAT
extent is a raw file); UEFI specification 2.10, 5.2.1 (Legacy Master Boot Record).
"""

import struct
from pathlib import Path

from bakery.host.errors import BakeryError

SECTOR_BYTES = 512
START_SECTOR = 2048  # 1 MiB, where every partitioning tool of today starts
SECTORS_LIMIT = 2**32 - START_SECTOR  # the table's fields have 32 bits
LINUX = 0x83
LINUX_LVM = 0x8E
# "Beyond what cylinder, head and sector can say": readers go by the sector numbers behind it.
NO_CHS = b"\xfe\xff\xff"


def frame(partition: Path, folder: Path, type_code: int) -> Path:
    """Describe in `folder` a disk whose only partition holds the file `partition`.

    Answers the descriptor's path (a VMDK; open it read-only). BakeryError when the file is no
    whole number of sectors or too large for an MBR partition table (2 TiB).
    """
    size_bytes = partition.stat().st_size
    sectors, rest = divmod(size_bytes, SECTOR_BYTES)
    if rest or not sectors:
        raise BakeryError(f"{partition} is not a whole number of sectors: {size_bytes} bytes")
    if sectors > SECTORS_LIMIT:
        raise BakeryError(f"{partition} is too large for an MBR partition: {size_bytes} bytes")
    (folder / "head").write_bytes(master_boot_record(sectors, type_code))
    # The descriptor's names cannot hold quotes or line breaks; a link's name needs none.
    (folder / "partition").symlink_to(partition.resolve())
    descriptor = folder / "disk.vmdk"
    descriptor.write_text(_descriptor(sectors))
    return descriptor


def master_boot_record(sectors: int, type_code: int) -> bytes:
    """The first MiB of a disk with one partition of `sectors` sectors from there on."""
    entry = struct.pack("<B3sB3sII", 0, NO_CHS, type_code, NO_CHS, START_SECTOR, sectors)
    record = bytes(440) + b"bkry" + bytes(2) + entry.ljust(64, b"\0") + b"\x55\xaa"
    return record.ljust(START_SECTOR * SECTOR_BYTES, b"\0")


def _descriptor(sectors: int) -> str:
    # No blank line: QEMU's reader takes the line behind one twice.
    return (
        "# Disk DescriptorFile\n"
        "version=1\n"
        "CID=fffffffe\n"
        "parentCID=ffffffff\n"
        'createType="twoGbMaxExtentFlat"\n'
        f'RW {START_SECTOR} FLAT "head" 0\n'
        f'RW {sectors} FLAT "partition" 0\n'
    )
