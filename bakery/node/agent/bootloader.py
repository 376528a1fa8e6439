"""With `boot_option=local`: whether the node will start from the disk that was written.

A whole disk brings its boot loader along, and Ironic asks for none then. For a partition image
Ironic wants the agent to run the image's own installer; this agent does not, and says so, since a
node that starts into nothing would be found much later.
"""

import struct

from .disks import SECTOR

BOOT_CODE = 440  # bytes of the first sector before the disk signature (UEFI 2.10, 5.2.1)
TABLE, ENTRY, ENTRIES = 446, 16, 4
ESP_TYPE = 0xEF
ESP_GUID = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")  # UEFI 2.10, 5.3.3, as on the disk
GPT_SIGNATURE = b"EFI PART"
GPT_ENTRIES_LIMIT = 1024


def is_there(device: str) -> bool:
    """Whether a disk has code in its first sector, or an EFI system partition."""
    with open(device, "rb") as disk:
        mbr, header = disk.read(SECTOR), disk.read(SECTOR)
        if mbr[510:512] != b"\x55\xaa":
            return False
        types = [mbr[TABLE + ENTRY * n + 4] for n in range(ENTRIES)]
        if any(mbr[:BOOT_CODE]) or ESP_TYPE in types:
            return True
        if not header.startswith(GPT_SIGNATURE):
            return False
        first, count, size = struct.unpack_from("<QII", header, 72)
        if not 128 <= size <= 4096 or not 0 < count <= GPT_ENTRIES_LIMIT:
            return False
        try:
            disk.seek(first * SECTOR)
        except (OSError, ValueError):  # past the end of a disk, or of any file
            return False
        entries = disk.read(count * size)
        return ESP_GUID in (entries[at : at + 16] for at in range(0, len(entries), size))
