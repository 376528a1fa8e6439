"""What GRUB Legacy (0.97) would start of an image."""

import re

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.boot.world import ImageWorld
from bakery.image.reader import Reader
from bakery.system import grub_legacy, kargs
from bakery.system.grub_legacy import Device, Entry, File

_PARTITION = re.compile(r"([^,]+),([0-9]{1,3})")


def read(reader: Reader, world: ImageWorld, volume: Volume, path: str) -> Reading:
    """The menu of that file, in front what starts by itself."""
    folder = path.rpartition("/")[0]
    try:
        saved = reader.text(volume, f"{folder}/{grub_legacy.SAVED_FILE}")
        menu = grub_legacy.parse(reader.text(volume, path) or b"", saved or b"")
    except BakeryError as error:
        return Reading(loader="GRUB legacy", problem=error.message)
    order = [n for n, entry in enumerate(menu.entries) if entry.kernel is not None]
    if menu.chosen is not None:
        order = [menu.chosen, *(n for n in order if n != menu.chosen)]
    problem = "GRUB Legacy waits for somebody to choose" if menu.waits else ""
    return Reading(
        loader="GRUB legacy",
        menus=(ImageFile(volume.name, path),),
        entries=tuple(_entry(world, volume, path, menu.entries[n]) for n in order[:ENTRIES_LIMIT]),
        problem=problem if order else "GRUB Legacy finds no entry",
    )


def _entry(world: ImageWorld, volume: Volume, path: str, entry: Entry) -> BootEntry:
    config = ImageFile(volume.name, path)
    args: kargs.Args = ()
    problem = f"the boot entry {entry.title} {entry.reason}" if entry.reason else ""
    try:
        args = entry.arguments
    except BakeryError as error:
        problem = problem or error.message
    kernel = _located(world, volume, entry.kernel) if entry.kernel else None
    return BootEntry(
        id=entry.title,
        title=entry.title,
        kernel=kernel or ImageFile("", ""),
        initrds=(_located(world, volume, entry.initrd),) if entry.initrd else (),
        args=args,
        config=config,
        loader="GRUB legacy",
        places=(ArgPlace(file=config, kind="legacy", start=entry.line),) if entry.line else (),
        problem=problem,
    )


def _located(world: ImageWorld, own: Volume, file: File) -> ImageFile:
    device = _device(world, own, file.device)
    place = world.place(device, file.path) if device else None
    if place is None:
        return ImageFile(f"({file.device.value})", file.path)
    return ImageFile(place.volume.name, place.path)


def _device(world: ImageWorld, own: Volume, device: Device) -> str | None:
    """GRUB 2's name for it: there partitions count from 1."""
    if device.kind == "own":
        return world.device(own)
    if device.kind == "fs-uuid" or device.kind == "file":
        return world.find(device.kind, device.value)
    partition = _PARTITION.fullmatch(device.value)
    return f"{partition[1]},{int(partition[2]) + 1}" if partition else device.value
