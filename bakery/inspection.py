"""What an image is: its volumes, what its boot loader would start, and what it can become.

The answers come from the image's own files by way of an engine; the image is never run.
"""

from collections.abc import Iterator

import msgspec

from bakery import bootentries
from bakery.bootentries import BootEntry
from bakery.disk.volumes import LUKS, Survey, Volume
from bakery.engines.base import Engine
from bakery.errors import BakeryError
from bakery.look import Look
from bakery.manifest import Layout
from bakery.system import release

READABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")
LAYOUTS: tuple[Layout, ...] = ("pv", "lv", "disk")


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `entries` stand in the boot loader's order, what it takes first."""

    survey: Survey
    boot: str = ""
    """The device of the volume that holds the boot entries; empty where there is none."""
    boot_prefix: str = ""
    """Where /boot's content lies inside that volume: `` or `/boot`."""
    roots: tuple[str, ...] = ()
    """The devices of all volumes that look like a root filesystem."""
    entries: tuple[BootEntry, ...] = ()
    firmware: tuple[str, ...] = ()
    """What the whole disk can be booted by: `bios`, `uefi`."""
    os_id: str = ""
    os_name: str = ""
    refusals: dict[Layout, str] = {}
    """Why the image cannot become this layout; a layout that is not named here can be."""
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout | None:
        """The layout a build takes when none is asked for."""
        return next((layout for layout in LAYOUTS if layout not in self.refusals), None)


def inspect(engine: Engine) -> Inspection:
    """Ask an open engine session everything there is to know."""
    look = Look(engine)
    opened = [volume for volume in look.survey.volumes if _opens(look, volume)]
    roots = tuple(volume.device for volume in opened if _is_root(look, volume))
    boot, prefix = _find_boot(look, opened)
    entries = bootentries.find(look, boot, prefix, roots) if boot else ()
    system = _release(look, entries)
    return Inspection(
        survey=look.survey,
        boot=boot.device if boot else "",
        boot_prefix=prefix,
        roots=roots,
        entries=entries,
        firmware=_firmware(look, opened),
        os_id=system.id,
        os_name=system.name,
        refusals=_refusals(look, opened, entries),
        notes=tuple(look.notes),
    )


def _opens(look: Look, volume: Volume) -> bool:
    """Whether a volume's files can be read; where not, that is noted and not fatal."""
    if volume.type == LUKS:
        look.notes.append(f"{volume.device} is encrypted (LUKS) and was not opened")
    if volume.type not in READABLE:
        return False
    try:
        look.directory(volume, "/")
    except BakeryError as error:
        look.notes.append(f"{volume.device} ({volume.type}) cannot be read: {error.message}")
        return False
    return True


def _is_root(look: Look, volume: Volume) -> bool:
    names = look.names(volume, "/")
    if "ostree" in names and look.directory(volume, "/ostree/deploy"):
        return True
    return "etc" in names and bool(names & {"usr", "bin"})


def _find_boot(look: Look, opened: list[Volume]) -> tuple[Volume | None, str]:
    """The volume with boot entries: a /boot of its own before a /boot inside the root."""
    for prefix in ("", "/boot"):
        for volume in opened:
            inside = not prefix or "boot" in look.names(volume, "/")
            if inside and bootentries.has_any(look, volume, prefix):
                return volume, prefix
    return None, ""


def _firmware(look: Look, opened: list[Volume]) -> tuple[str, ...]:
    found = ["bios"] if look.survey.boot_code else []
    for volume in _esps(look, opened):
        names = {name.lower() for name in look.names(volume, "/EFI/BOOT")}
        found += ["uefi"] if "bootx64.efi" in names else []
    return tuple(dict.fromkeys(found))


def _esps(look: Look, opened: list[Volume]) -> Iterator[Volume]:
    for volume in opened:
        if volume.type == "vfat" and "efi" in {n.lower() for n in look.names(volume, "/")}:
            yield volume


def _release(look: Look, entries: tuple[BootEntry, ...]) -> release.Release:
    entry = next((entry for entry in entries if not entry.problem), None)
    root = look.survey.volume(entry.root) if entry else None
    if entry is None or root is None:
        return release.Release(id="")
    for path in (entry.etc + "/os-release", entry.etc.removesuffix("/etc") + "/usr/lib/os-release"):
        text = look.text(root, path)
        if text:
            return release.parse(text)
    return release.Release(id="")


def _refusals(
    look: Look, opened: list[Volume], entries: tuple[BootEntry, ...]
) -> dict[Layout, str]:
    """What keeps the image from being taken apart, said once for each layout it concerns."""
    refusals: dict[Layout, str] = {}
    whole = _why_not_apart(look, opened, entries)
    if whole:
        refusals |= {"pv": whole, "lv": whole}
    else:
        entry = next(entry for entry in entries if not entry.problem)
        lv = look.survey.logical_volume(entry.root)
        if lv is None:
            refusals["pv"] = f"the root filesystem {entry.root} is not on LVM"
        elif lv.unusable:
            refusals["lv"] = lv.unusable
    if not look.survey.size_bytes:
        refusals["disk"] = "the disk is empty"
    return refusals


def _why_not_apart(look: Look, opened: list[Volume], entries: tuple[BootEntry, ...]) -> str | None:
    """Why kernel, ramdisk and root cannot be had apart from each other, or None."""
    if any(not entry.problem for entry in entries):
        return None
    if entries:
        return entries[0].problem
    for volume in _esps(look, opened):
        sealed = [n for n in look.names(volume, "/EFI/Linux") if n.lower().endswith(".efi")]
        if sealed:
            return (
                f"its kernel is sealed in a unified kernel image (/EFI/Linux/{sorted(sealed)[0]})"
            )
    locked = [v.device for v in look.survey.volumes if v.type == LUKS]
    if locked:
        return f"{', '.join(locked)} is encrypted (LUKS)"
    if not opened:
        return "no filesystem in it can be read"
    return "no boot entry was found: neither /boot/loader/entries/*.conf nor a grub.cfg"
