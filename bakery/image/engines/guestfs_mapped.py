"""Volumes that only a kernel puts together: thin, RAID and cached ones, arrays, encrypted ones.

The appliance has assembled arrays and activated volume groups when it is up (libguestfs,
appliance/init); LUKS is opened here. Their bytes lie where the kernel's tables say, so what a
volume holds is copied out of the appliance as a device.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from bakery.disk.volumes.volumes import LUKS, Volume, VolumeGroup
from bakery.host.errors import BakeryError
from bakery.image.engines.guestfish import CommandRefused, Guestfish, number
from bakery.image.engines.survey import Found

KEY_LIMIT_BYTES = 8 << 10
PACKED_NAME = "volume.gz"
PIECE_BYTES = 1 << 20
BLOCK = bytes(4096)
COPY_SECONDS = 600.0
COPY_BYTES_PER_SECOND = 4 << 20
GZIP_BITS = 16 + zlib.MAX_WBITS


def unlock(fish: Guestfish, volumes: Iterable[Volume], key: bytes | None) -> list[str]:
    """Open every LUKS among `volumes` that the key opens; the devices that its content shows as.

    Without a key nothing is opened. BakeryError where it opens none of them.
    """
    locked = [volume for volume in volumes if volume.type == LUKS]
    if key is None or not locked:
        return []
    opened = []
    for volume in locked:
        name = volume.opened.removeprefix("/dev/mapper/")
        try:
            fish.ask("cryptsetup-open", volume.device, name, secret=key)
        except CommandRefused:
            continue
        opened.append(volume.opened)
    if not opened:
        devices = ", ".join(volume.device for volume in locked)
        raise BakeryError(
            f"the key of --luks-key-file opens none of {devices}",
            "its first line is the passphrase, without the newline at its end",
        )
    fish.ask("lvm-scan", "true")
    return opened


def mapped(fish: Guestfish, opened: Iterable[str], known: Iterable[Volume]) -> Iterator[Found]:
    """What the kernel shows as devices of its own beside the volumes that are known already."""
    have = {volume.device for volume in known}
    listed = [*opened, *fish.ask("list-md-devices").split(), *fish.ask("lvs").split()]
    for device in dict.fromkeys(listed):
        if device in have:
            continue
        try:
            size = number(fish.ask("blockdev-getsize64", device))
        except CommandRefused:  # it is listed, and the kernel could not activate it
            continue
        yield Found(device, (), size)


def usable(group: VolumeGroup, mapped_devices: Iterable[str]) -> VolumeGroup:
    """The group, whose volumes are usable where the kernel shows them."""
    shown = set(mapped_devices)
    volumes = tuple(
        msgspec.structs.replace(lv, unusable="") if lv.device in shown else lv
        for lv in group.volumes
    )
    return msgspec.structs.replace(group, volumes=volumes)


def copy(fish: Guestfish, device: str, size: int, scratch: Path, destination: Path) -> None:
    """Copy all of a device to the new file `destination`, zeros as holes."""
    packed = scratch / PACKED_NAME
    timeout = COPY_SECONDS + size / COPY_BYTES_PER_SECOND
    try:
        fish.ask("compress-device-out", "gzip", device, str(packed), "level:1", timeout=timeout)
        _unpack(packed, size, destination)
    finally:
        packed.unlink(missing_ok=True)


def _unpack(packed: Path, size: int, destination: Path) -> None:
    """Inflate a file to `size` bytes exactly; what is zeros is not written."""
    inflater = zlib.decompressobj(GZIP_BITS)
    at = 0
    with packed.open("rb") as source, destination.open("xb") as target:
        os.truncate(target.fileno(), size)
        piece = source.read(PIECE_BYTES)
        while piece and not inflater.eof:
            data = inflater.decompress(piece, PIECE_BYTES)
            if at + len(data) > size:
                raise BakeryError(f"the copy is longer than the {size} bytes of its volume")
            _write(target.fileno(), data, at)
            at += len(data)
            piece = inflater.unconsumed_tail or source.read(PIECE_BYTES)
    if at != size or not inflater.eof:
        raise BakeryError(f"the copy of the volume ended after {at} of {size} bytes")


def _write(descriptor: int, data: bytes, at: int) -> None:
    for start in range(0, len(data), len(BLOCK)):
        block = data[start : start + len(BLOCK)]
        if block.strip(b"\0"):
            os.pwrite(descriptor, block, at + start)
