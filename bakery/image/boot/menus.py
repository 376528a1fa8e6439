"""The menus of one image: which there are, and which is taken for a loader's that does not tell."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bakery.disk.volumes.volumes import Volume
from bakery.image.boot import conventional, esp, systemd
from bakery.image.boot.conventional import Candidate
from bakery.image.boot.entry import Firmware, Way
from bakery.image.boot.reading import Reading
from bakery.image.boot.world import ImageWorld
from bakery.image.reader import Reader
from bakery.system.grub import Platform
from bakery.system.grub_memdisk import Memdisk

FOLDER = "/EFI/BOOT"
"""Where UEFI looks for a program when no variable names one (UEFI, 3.5.1.1)."""


class Reached(NamedTuple):
    """One firmware's way, and what it comes to."""

    way: Way
    reading: Reading


class Menus:
    """An image's volumes (`opened`: those that can be read), and all trees of files in them."""

    def __init__(self, reader: Reader, opened: Sequence[Volume], trees: Sequence[Volume]) -> None:
        self.reader = reader
        self.opened = opened
        self.trees = trees
        self.esps = esp.system_partitions(reader.survey, opened)
        self.extended = esp.extended_boot(reader.survey, opened)
        self._boot = conventional.find_boot(reader, trees)

    def world(self, platform: Platform, memdisk: Memdisk | None = None) -> ImageWorld:
        """The image as a GRUB on that platform sees it."""
        return ImageWorld(self.reader, self.opened, platform, memdisk)

    def on_esp(self, volume: Volume, first: str = FOLDER) -> Iterator[Candidate]:
        """The menus on an ESP, in front GRUB's in that folder."""
        asked = systemd.Asked(esp=volume, extended=self.extended)
        return conventional.on_esp(self.reader, self.world("efi"), asked, first)

    def of_boot(self, platform: Platform) -> Iterator[Candidate]:
        """The menus of the image's /boot."""
        if self._boot is None:
            return iter(())
        return conventional.of_boot(self.reader, self.world(platform), *self._boot)

    def everywhere(self) -> Iterator[Candidate]:
        """All menus that lie where menus lie."""
        for volume in self.esps:
            yield from self.on_esp(volume)
        yield from self.of_boot("pc")


def taken_for_granted(
    firmware: Firmware, program: str, candidates: Iterable[Candidate], why: str
) -> Reached:
    """The way of a loader that does not tell what it reads: the first menu that can be used."""
    readings = [candidate.read() for candidate in candidates]
    usable = (r for r in readings if any(not entry.problem for entry in r.entries))
    found = next(usable, next((reading for reading in readings if reading.entries), None))
    if found is None:
        problem = f"{why}, and no menu lies where one would be"
        nothing = Reading(loader="GRUB", problem=problem)
        return Reached(Way(firmware=firmware, program=program, problem=problem), nothing)
    menus = tuple(map(str, found.menus))
    note = f"{why}: it is taken for {found.loader}" + (f" with {menus[0]}" if menus else "")
    way = Way(firmware=firmware, program=program, loader=found.loader, menus=menus, note=note)
    return Reached(way, found)
