"""What GRUB would start of an image: its scripts are run on the image's own files."""

from collections.abc import Mapping

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT, Reading
from bakery.image.boot.world import ImageWorld
from bakery.system import grub
from bakery.system.grub import Entry, File, Linux, Menu
from bakery.system.grub.machine import Flavour

CONFIG = "grub.cfg"
NO_MENU = "GRUB finds no menu, and waits for somebody to tell it what to do"


def in_folder(world: ImageWorld, volume: Volume, folder: str) -> Reading:
    """What GRUB comes to whose prefix is a folder of the image, and that is told nothing else."""
    device = world.device(volume)
    top = f"/{volume.subvolume}" if volume.subvolume else ""
    return read(world, {"root": device, "prefix": f"({device}){top}{folder}"})


def read(
    world: ImageWorld,
    variables: Mapping[str, str],
    *,
    early: bytes = b"",
    flavour: Flavour = "unknown",
    has_wildcards: bool = False,
) -> Reading:
    """What GRUB comes to that begins with these variables: see `bakery.system.grub.run`."""
    try:
        menu = grub.run(world, variables, early=early, flavour=flavour, has_wildcards=has_wildcards)
    except BakeryError as error:
        return Reading(loader="GRUB", problem=error.message)
    return of_menu(world, menu)


def of_menu(world: ImageWorld, menu: Menu) -> Reading:
    """A menu of GRUB's with the image's own names for all files in it."""
    first = menu.first
    shown = [e for e in menu.entries if e.linux or e.chainloader or e is first]
    entries = tuple(_entry(world, entry) for entry in shown[:ENTRIES_LIMIT])
    return Reading(
        loader="GRUB",
        menus=tuple(image_file(world, config) for config in menu.configs),
        entries=entries,
        notes=menu.notes,
        problem="" if entries else NO_MENU,
        goes_on=entries[0].kernel if first and first.chainloader else None,
    )


def image_file(world: ImageWorld, file: File) -> ImageFile:
    """A file of GRUB's as one of the image; under GRUB's name where the device is not there."""
    place = world.place(file.device, file.path)
    return ImageFile(place.volume.name, place.path) if place else ImageFile(*_named(file))


def _entry(world: ImageWorld, entry: Entry) -> BootEntry:
    """An entry; one that tries without an initrd first is taken with it, as a node gets it."""
    other = entry.with_initrd
    if other is not None and entry.linux is not None:
        found = _entry(world, msgspec.structs.replace(other, with_initrd=None))
        both = dict.fromkeys([*found.places, *_places(world, entry.linux)])
        return msgspec.structs.replace(found, places=tuple(both))
    linux, problem = entry.linux, ""
    if entry.problem:
        problem = f"the boot entry {entry.title} does not start: {entry.problem}"
    elif linux is None:
        problem = f"the boot entry {entry.title} starts another program, {entry.chainloader}"
    target = linux.file if linux else entry.chainloader
    return BootEntry(
        id=entry.id or entry.title,
        title=entry.title,
        kernel=image_file(world, target) if target else ImageFile("", ""),
        initrds=tuple(image_file(world, file) for file in entry.initrds),
        args=linux.args if linux else (),
        config=image_file(world, entry.config),
        loader="GRUB",
        places=_places(world, linux) if linux else (),
        problem=problem,
    )


def _places(world: ImageWorld, linux: Linux) -> tuple[ArgPlace, ...]:
    found = [("", linux.place), *((v.name, v.place) for v in linux.variables)]
    return tuple(
        ArgPlace(
            file=image_file(world, place.file),
            kind=place.kind,
            start=place.start,
            end=place.end,
            variable=name,
        )
        for name, place in found
        if place is not None
    )


def _named(file: File) -> tuple[str, str]:
    return f"({file.device})", file.path
