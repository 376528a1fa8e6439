"""What was read of one loader: the files, and the entries in its order."""

import msgspec

from bakery.image.boot.entry import BootEntry, ImageFile, Loader

ENTRIES_LIMIT = 64


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`entries` stand in the loader's order, in front what it starts when nobody chooses.

    `menus` are the files that were read, in their order; `problem` says why nothing is started.
    `goes_on` is the program that the first entry starts, where that is no kernel: what that one
    comes to is what the firmware comes to.
    """

    loader: Loader
    menus: tuple[ImageFile, ...] = ()
    entries: tuple[BootEntry, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    goes_on: ImageFile | None = None
