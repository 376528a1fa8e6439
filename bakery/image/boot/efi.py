"""The way of UEFI: the program on an ESP, and what that comes to."""

import itertools

from bakery.disk.volumes.volumes import Volume
from bakery.image.boot.entry import ImageFile
from bakery.image.boot.menus import FOLDER, Menus, Reached, taken_for_granted
from bakery.system import architecture


def ways(menus: Menus) -> list[Reached]:
    """What UEFI comes to; nothing where no ESP holds a program that it looks for."""
    for volume in menus.esps:
        folder = menus.reader.spelled(volume, FOLDER)
        names = menus.reader.names(volume, folder)
        machine = architecture.of_efi_names(names)
        if machine:
            wanted = f"boot{architecture.EFI_SUFFIXES[machine]}.efi"
            program = next(name for name in names if name.lower() == wanted)
            return [_way(menus, volume, f"{folder}/{program}")]
    return []


def _way(menus: Menus, volume: Volume, path: str) -> Reached:
    program = str(ImageFile(volume.name, path))
    candidates = itertools.chain(menus.on_esp(volume), menus.of_boot("efi"))
    return taken_for_granted("uefi", program, candidates, f"what {program} is cannot be told")
