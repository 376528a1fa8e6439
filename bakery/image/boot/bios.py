"""The way of a BIOS: the code in the first sector, and what that comes to."""

from bakery.host.errors import BakeryError
from bakery.image.boot import grub_start, syslinux
from bakery.image.boot.entry import Way
from bakery.image.boot.menus import Menus, Reached, taken_for_granted
from bakery.image.boot.reading import Reading
from bakery.image.boot.world import DISK
from bakery.system import grub_core, grub_legacy

PROGRAM = "the code in the first sector"


def ways(menus: Menus) -> list[Reached]:
    """What a BIOS comes to; nothing where the first sector holds no code."""
    if not menus.reader.survey.boot_code:
        return []
    return [_way(menus, 0, PROGRAM)]


def _way(menus: Menus, at: int, program: str) -> Reached:
    """What the boot sector at byte `at` of the disk comes to."""
    disk = menus.reader.disk()
    kind = grub_core.boot_code(disk(at, grub_core.SECTOR_BYTES))
    if kind == "grub":
        return _grub(menus, at, program)
    if kind == "partition" and not at:
        return _active(menus)
    if kind == "syslinux":
        found = _syslinux(menus, at, program)
        if found is not None:
            return found
    if kind == "grub-legacy":
        why = f"{program} is GRUB Legacy's, which does not say where its menu lies"
        legacy = (one for one in menus.of_boot("pc") if one.file.path.endswith(grub_legacy.NAMES))
        return taken_for_granted("bios", program, legacy, why)
    why = f"{program} is no boot loader that is known"
    return taken_for_granted("bios", program, menus.of_boot("pc"), why)


def _grub(menus: Menus, at: int, program: str) -> Reached:
    try:
        core = grub_core.read(menus.reader.disk(), at)
    except BakeryError as error:
        why = f"{program} is a GRUB's, and what it starts cannot be told ({error.message})"
        return taken_for_granted("bios", program, menus.of_boot("pc"), why)
    device = f"{DISK},{core.partition}" if core.partition else DISK
    reading = grub_start.read(menus, "pc", core.embedded, core.read_at, device=device, folder="")
    return _reached(program, reading)


def _syslinux(menus: Menus, at: int, program: str) -> Reached | None:
    """What the SYSLINUX comes to that the boot sector of a volume starts; None for none there."""
    reader = menus.reader
    for volume in menus.opened:
        folder = None
        if volume.place and volume.place[0].offset == at:
            folder = syslinux.installed_to(reader, volume)
        if folder is not None:
            path = syslinux.config(reader, volume, folder)
            if path is not None:
                return _reached(program, syslinux.read(reader, volume, path))
            problem = f"SYSLINUX finds no menu on {volume.device}"
            return _reached(program, Reading(loader="syslinux", problem=problem))
    return None


def _active(menus: Menus) -> Reached:
    """What the boot sector of the partition comes to that the table marks."""
    table = menus.reader.survey.table
    marked = [p for p in (table.partitions if table else ()) if p.bootable]
    if not marked:
        problem = f"{PROGRAM} starts the active partition, and none is"
        return _reached(PROGRAM, Reading(loader="syslinux", problem=problem))
    return _way(menus, marked[0].start_bytes, f"the boot sector of {marked[0].device}")


def _reached(program: str, reading: Reading) -> Reached:
    way = Way(
        firmware="bios",
        program=program,
        loader=reading.loader,
        menus=tuple(map(str, reading.menus)),
        problem=reading.problem,
    )
    return Reached(way, reading)
