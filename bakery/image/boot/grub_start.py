"""How a GRUB begins: its variables, by what it brings along and where it was read from."""

import re

from bakery.disk.extents import ReadAt
from bakery.host.errors import BakeryError
from bakery.image.boot import grub
from bakery.image.boot.menus import Menus
from bakery.image.boot.reading import Reading
from bakery.system import grub_memdisk
from bakery.system.grub import Platform
from bakery.system.grub_image import Embedded

SCAN_LIMIT_BYTES = 8 << 20
# Red Hat's GRUB looks for grub.cfg in the folder of its own program first, by this variable.
OWN_FOLDER = "fw_path"
WILDCARDS = "regexp"
_PREFIX = re.compile(r"(?:\(([^)]*)\))?(.*)", re.DOTALL)


def read(
    menus: Menus,
    platform: Platform,
    embedded: Embedded,
    read_at: ReadAt,
    *,
    device: str,
    folder: str,
) -> Reading:
    """What a GRUB comes to; `read_at` reads it, `device` and `folder` are where it was read from.

    Of a BIOS, which reads sectors, the folder is empty. (grub-core/kern/main.c,
    grub_set_prefix_and_root)
    """
    try:
        memdisk = grub_memdisk.opened(read_at, embedded.memdisk) if embedded.memdisk else None
    except BakeryError as error:
        return Reading(loader="GRUB", problem=error.message)
    own = read_at(0, SCAN_LIMIT_BYTES)
    is_fedora = OWN_FOLDER.encode() in own
    known = _variables(embedded, device, folder, has_own_folder=is_fedora)
    return grub.read(
        menus.world(platform, memdisk),
        known,
        early=(embedded.config or "").encode(),
        flavour="fedora" if is_fedora else "unknown",
        has_wildcards=WILDCARDS.encode() in own,
    )


def _variables(
    embedded: Embedded, device: str, folder: str, *, has_own_folder: bool
) -> dict[str, str]:
    match = _PREFIX.fullmatch(embedded.prefix or "")
    named, path = (match[1], match[2]) if match else (None, "")
    if named is None:
        named, path = device, path or folder
    elif named.startswith(","):
        named = device.partition(",")[0] + named
    known = {"root": named, "prefix": f"({named}){path}", "cmdpath": f"({device}){folder}"}
    return known | ({OWN_FOLDER: f"({device}){folder}"} if has_own_folder and folder else {})
