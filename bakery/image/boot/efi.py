"""The way of UEFI: the program on an ESP, what that is by its bytes, and what it comes to."""

import itertools

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot import grub_start, systemd, unified
from bakery.image.boot.entry import ImageFile, Way
from bakery.image.boot.menus import FOLDER, Menus, Reached, taken_for_granted
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.reader import Place
from bakery.system import architecture, efi_fallback, efi_program
from bakery.system.efi_program import EfiProgram

FOLLOWED_LIMIT = 8
"""So many programs start each other."""
EFI = "/EFI"


class Unknown(Exception):
    """A program whose bytes do not tell what it comes to."""


def ways(menus: Menus) -> list[Reached]:
    """What UEFI comes to; nothing where no ESP holds a program that it looks for."""
    for volume in menus.esps:
        folder = menus.reader.spelled(volume, FOLDER)
        names = menus.reader.names(volume, folder)
        machine = architecture.of_efi_names(names)
        if machine:
            wanted = f"boot{architecture.EFI_SUFFIXES[machine]}.efi"
            program = next(name for name in names if name.lower() == wanted)
            return [_way(menus, Place(volume, f"{folder}/{program}"))]
    return []


def _way(menus: Menus, place: Place) -> Reached:
    program = str(ImageFile(place.volume.name, place.path))
    try:
        reading = _followed(menus, place, 0)
    except Unknown as error:
        candidates = itertools.chain(menus.on_esp(place.volume), menus.of_boot("efi"))
        return taken_for_granted("uefi", program, candidates, str(error))
    way = Way(
        firmware="uefi",
        program=program,
        loader=reading.loader,
        menus=tuple(map(str, reading.menus)),
        problem=reading.problem,
    )
    return Reached(way, reading)


def _followed(menus: Menus, place: Place, depth: int) -> Reading:
    """What a program comes to; Unknown where that cannot be told."""
    file = ImageFile(place.volume.name, place.path)
    if depth >= FOLLOWED_LIMIT:
        raise Unknown(f"more than {FOLLOWED_LIMIT} programs start each other, the last {file}")
    try:
        program = efi_program.read(menus.reader.bytes_of(*place))
    except BakeryError as error:
        raise Unknown(f"what {file} is cannot be told ({error.message})") from error
    if program.kind in ("shim", "shim-fallback"):
        return _followed(menus, _behind_shim(menus, place, program), depth + 1)
    reading = _reading(menus, place, program, file)
    if reading.goes_on is None:
        return reading
    return _going_on(menus, reading, reading.goes_on, depth)


def _reading(menus: Menus, place: Place, program: EfiProgram, file: ImageFile) -> Reading:
    """The menu of a program that has one, or what it starts itself."""
    if program.kind == "grub" and program.grub is not None:
        return grub_start.read(
            menus,
            "efi",
            program.grub,
            menus.reader.bytes_of(*place),
            device=menus.world("efi").device(place.volume),
            folder=place.path.rpartition("/")[0],
        )
    if program.kind == "systemd-boot":
        asked = systemd.Asked(
            esp=place.volume,
            extended=menus.extended,
            machine=program.machine,
            loader=program.version,
            own_path=place.path,
        )
        return systemd.read(menus.reader, asked)
    name = place.path.rpartition("/")[2]
    if program.kind == "uki":
        volume, path = place
        entry = unified.entry(menus.reader, volume, path, identity=name, title=name)
        return Reading(loader="unified kernel image", entries=(entry,))
    if program.kind == "kernel":
        problem = f"{file} is a kernel, which firmware starts without arguments"
        return Reading(loader="unified kernel image", problem=problem)
    raise Unknown(f"{file} is no boot loader that is known")


def _going_on(menus: Menus, reading: Reading, target: ImageFile, depth: int) -> Reading:
    """A menu whose first entry starts another program, and what that one comes to."""
    volume = menus.reader.survey.volume(target.volume)
    if volume is None:
        return reading
    try:
        found = _followed(menus, Place(volume, target.path), depth + 1)
    except Unknown as error:
        menus.reader.notes.append(str(error))
        return reading
    return Reading(
        loader=found.loader,
        menus=(*reading.menus, *found.menus),
        entries=(*found.entries, *reading.entries[1:])[:ENTRIES_LIMIT],
        notes=(*reading.notes, *found.notes),
        problem=found.problem,
    )


def _behind_shim(menus: Menus, place: Place, program: EfiProgram) -> Place:
    """The program that a shim, or its fallback, starts; Unknown where there is none."""
    volume, path = place
    folder = path.rpartition("/")[0]
    if program.kind == "shim-fallback":
        return _by_fallback(menus, volume, folder, program.machine)
    suffix = architecture.EFI_SUFFIXES.get(program.machine, "")
    helper = f"fb{suffix}.efi"
    is_removable = folder.lower() == FOLDER.lower()
    names = {name.lower(): name for name in menus.reader.names(volume, folder)}
    if is_removable and helper in names:
        return Place(volume, f"{folder}/{names[helper]}")
    wanted = program.next_program or f"grub{suffix}.efi"
    if wanted.lower() not in names:
        raise Unknown(f"{ImageFile(volume.name, path)} is a shim, and {wanted} is not beside it")
    return Place(volume, f"{folder}/{names[wanted.lower()]}")


def _by_fallback(menus: Menus, volume: Volume, own: str, machine: str) -> Place:
    """What the first CSV names (see `efi_fallback`); the folders in the order of their names."""
    reader = menus.reader
    top = reader.spelled(volume, EFI)
    for entry in sorted(reader.directory(volume, top)):
        folder = f"{top}/{entry.name}"
        if not entry.is_directory or entry.name.lower() == efi_fallback.FOLDER_TO_SKIP:
            continue
        names = {name.lower(): name for name in reader.names(volume, folder)}
        csv = next((names[n] for n in efi_fallback.file_names(machine) if n in names), None)
        text = reader.text(volume, f"{folder}/{csv}") if csv else None
        for option in efi_fallback.parse(text) if text else ():
            if option.file.lower() in names:
                return Place(volume, f"{folder}/{names[option.file.lower()]}")
    raise Unknown(f"the fallback of shim in {own} finds no CSV that names a program")
