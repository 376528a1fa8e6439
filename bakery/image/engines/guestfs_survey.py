"""What a disk holds, as the tools inside the libguestfs appliance tell it.

The partition table comes from sfdisk --json and the filesystems from blkid -p, the same programs
the direct engine asks, so that both tell the same; LVM's metadata is read as bytes. They are run
by libguestfs' `debug sh`: its own part-* commands cost half a second each without KVM and are
silent about partitions that lie beyond the disk.

The kernel of the appliance may find its own disk before the image's: what a guestfish command
calls /dev/sda may be /dev/sdb in there. Only the name by label (guestfs(3), add_drive: label)
holds for a program run by `debug sh`.
"""

import re
import shlex
from pathlib import Path

import msgspec

from bakery.disk.formats import detect
from bakery.disk.volumes import btrfs, gpt, partitions
from bakery.disk.volumes.volumes import PartitionTable, Subvolume, Survey, Volume
from bakery.host.errors import BakeryError
from bakery.image.engines import guestfs_mapped
from bakery.image.engines.guestfish import CommandRefused, Guestfish, number
from bakery.image.engines.guestfs_files import mount_options
from bakery.image.engines.survey import (
    BLKID,
    BOOT_CODE_BYTES,
    DISK,
    NO_TABLE,
    Found,
    groups,
    logical,
    partitioned,
    sized,
    whole_disk,
)

LABEL = "image"
BY_LABEL = f"/dev/disk/guestfs/{LABEL}"
SUBVOLUME = re.compile(
    r"btrfssubvolume_id: ([0-9]{1,20})\n +btrfssubvolume_top_level_id: [0-9]+\n"
    r" +btrfssubvolume_path: (.*)\n\}"
)
EXIT_CODE = re.compile(r"[0-9]{1,3}")
BLOCK_BYTES = 1 << 20
BLOCK_LIMIT = 64


def survey(fish: Guestfish, scratch: Path, key: bytes | None = None) -> Survey:
    """Ask a launched appliance about its one disk; `key` opens what is encrypted on it.

    BakeryError for a table not to be believed, and for a key that opens nothing.
    """
    size = number(fish.ask("blockdev-getsize64", DISK))
    reader = _Reader(fish, scratch / "block", size)
    table = _table(fish, reader, size)
    plain = [_asked(fish, one) for one in (partitioned(table) if table else [whole_disk(size)])]
    found = tuple(groups(reader.read_at, plain))
    placed = [*plain, *(_asked(fish, one) for one in logical(found))]
    opened = guestfs_mapped.unlock(fish, placed, key)
    mapped = [_asked(fish, one) for one in guestfs_mapped.mapped(fish, opened, placed)]
    found = tuple(guestfs_mapped.usable(group, (v.device for v in mapped)) for group in found)
    volumes = tuple(sized(volume, reader.read_at) for volume in (*placed, *mapped))
    boot_code = any(reader.read_at(0, BOOT_CODE_BYTES))
    return Survey(size, table, found, volumes, boot_code=boot_code)


def _table(fish: Guestfish, reader: "_Reader", size: int) -> PartitionTable | None:
    sector_bytes = gpt.sector_bytes(reader.read_at, size)
    if sector_bytes != gpt.USUAL_SECTOR_BYTES:
        return partitions.believed(gpt.read(reader.read_at, size, sector_bytes), size)
    try:
        told = fish.ask("debug", "sh", f"sfdisk --json {BY_LABEL}")
    except CommandRefused as error:
        if NO_TABLE in error.message:
            return None
        raise
    text = told.encode("utf-8", "surrogateescape")
    return partitions.from_sfdisk(text, size, reader.read_at(0, detect.HEAD_BYTES))


def _asked(fish: Guestfish, found: Found) -> Volume:
    """The volume, by what blkid in the appliance tells of it."""
    device = found.device
    name = shlex.quote(inside(device))
    answer = fish.ask("debug", "sh", f"{' '.join(BLKID)} {name}; echo EXIT=$?")
    printed, _, code = answer.rpartition("EXIT=")
    if not EXIT_CODE.fullmatch(code.strip()):
        raise BakeryError(f"blkid did not answer about {device}")
    return _with_subvolumes(
        fish, found.holding(int(code), printed.encode("utf-8", "surrogateescape"))
    )


def _with_subvolumes(fish: Guestfish, volume: Volume) -> Volume:
    """The volume, with its subvolumes where it is a btrfs."""
    if volume.type != btrfs.TYPE:
        return volume
    try:
        fish.ask("mount-options", mount_options(volume, write=False), volume.device, "/")
        listed = fish.ask("btrfs-subvolume-list", "/")
        default = number(fish.ask("btrfs-subvolume-get-default", "/"))
        fish.ask("umount-all")
    except CommandRefused as error:
        return msgspec.structs.replace(volume, unreadable=error.message)
    found = [Subvolume(int(n), path, int(n) == default) for n, path in SUBVOLUME.findall(listed)]
    if len(found) != listed.count("btrfssubvolume_id:") or not all(s.path for s in found):
        raise BakeryError(f"the subvolumes of {volume.device} cannot be told from one another")
    return msgspec.structs.replace(volume, subvolumes=tuple(sorted(found, key=lambda s: s.id)))


def inside(device: str) -> str:
    """What programs in the appliance call a device."""
    return BY_LABEL + device.removeprefix(DISK) if device.startswith(DISK) else device


class _Reader:
    """Reads the disk in blocks that are kept: LVM's label and metadata lie close together."""

    def __init__(self, fish: Guestfish, file: Path, size: int) -> None:
        self._fish = fish
        self._file = file
        self._size = size
        self._blocks: dict[int, bytes] = {}

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes of the disk from `offset` on; fewer at its end."""
        end = min(offset + length, self._size)
        first, last = offset // BLOCK_BYTES, max(end - 1, offset) // BLOCK_BYTES
        joined = b"".join(self._block(number) for number in range(first, last + 1))
        start = offset - first * BLOCK_BYTES
        return joined[start : start + max(0, end - offset)]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            if len(self._blocks) >= BLOCK_LIMIT:
                self._blocks.clear()
            self._blocks[number] = self._download(number * BLOCK_BYTES)
        return self._blocks[number]

    def _download(self, offset: int) -> bytes:
        length = max(0, min(BLOCK_BYTES, self._size - offset))
        if length == 0:
            return b""
        self._fish.ask("download-offset", DISK, str(self._file), str(offset), str(length))
        data = self._file.read_bytes()
        self._file.unlink()
        return data
