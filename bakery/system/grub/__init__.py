"""GRUB 2: its script language, run within bounds, and the menu that a configuration leads to.

Nothing here knows of images: `run` asks a `World` for files and devices, by GRUB's names. The
sources that it follows are GRUB's own, those of Fedora and RHEL (rhboot/grub2) where they have
more: `blscfg`, `increment`, names in `default` and `fallback`.
"""

from bakery.system.grub.edit import spell
from bakery.system.grub.environment import parse_environment
from bakery.system.grub.menu import Entry, File, Item, Linux, Menu, Place, Submenu, Variable
from bakery.system.grub.ordered import MenuEntry, ordered
from bakery.system.grub.start import run
from bakery.system.grub.world import Kind, Platform, World

__all__ = [
    "Entry",
    "File",
    "Item",
    "Kind",
    "Linux",
    "Menu",
    "MenuEntry",
    "Place",
    "Platform",
    "Submenu",
    "Variable",
    "World",
    "ordered",
    "parse_environment",
    "run",
    "spell",
]
