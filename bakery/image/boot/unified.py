"""Unified kernel images of an image: kernel, initrd and arguments out of one EFI program."""

import msgspec

from bakery.disk.extents import ReadAt
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile, Loader
from bakery.image.reader import Reader
from bakery.system import pe, uki
from bakery.system.pe import Section
from bakery.system.uki import Addon, Profile, Uki

ADDONS_LIMIT = 64


def entry(
    reader: Reader,
    volume: Volume,
    path: str,
    *,
    identity: str,
    title: str,
    number: int = 0,
    options: str | None = None,
    loader: Loader = "unified kernel image",
) -> BootEntry:
    """What the image at `path` starts by its profile of that number.

    `options` are the arguments that a boot program hands on, which count instead of the image's
    own; None where it hands none on. Where it cannot be taken apart, the entry says so.
    """
    file = ImageFile(volume.name, path)
    plain = BootEntry(
        id=identity,
        title=title or identity,
        kernel=file,
        initrds=(),
        args=(),
        config=file,
        loader=loader,
        places=(ArgPlace(file=file, kind="sealed"),),
    )
    try:
        return _filled(plain, reader, volume, number, options)
    except BakeryError as error:
        return msgspec.structs.replace(plain, problem=error.message)


def _filled(
    plain: BootEntry, reader: Reader, volume: Volume, number: int, options: str | None
) -> BootEntry:
    image = uki.read(reader.bytes_of(volume, plain.kernel.path))
    profile = next((p for p in image.profiles if p.number == number), None)
    if profile is None:
        raise BakeryError(f"{plain.kernel} has no profile {number}")
    file = plain.kernel
    addons = _addons(reader, volume, uki.ADDON_FOLDER)
    addons += _addons(reader, volume, uki.addon_folder(file.path))
    args = uki.with_addons(profile, addons, options)
    return msgspec.structs.replace(
        plain,
        kernel=_part(file, profile.kernel),
        initrds=tuple(_part(file, section) for section in profile.initrds),
        args=args,
        kernel_version=profile.uname,
        problem=_why_whole(file, image, profile, addons),
    )


def _why_whole(file: ImageFile, image: Uki, profile: Profile, addons: list[Addon]) -> str:
    """Why it is of use as a whole only; empty where it can be had in parts."""
    if image.sealed:
        return f"its kernel is sealed in a unified kernel image ({file.path}): {image.sealed}"
    if profile.devicetree or any(addon.devicetree for addon in addons):
        return f"the unified kernel image {file.path} brings a device tree, which is no argument"
    if any(addon.initrds for addon in addons):
        return f"add-ons bring the unified kernel image {file.path} initrds of their own"
    return ""


def _addons(reader: Reader, volume: Volume, folder: str) -> list[Addon]:
    """The add-ons in a folder, sorted by name; what is none is passed over with a note."""
    names = sorted(n for n in reader.names(volume, folder) if n.lower().endswith(uki.ADDON_SUFFIX))
    if len(names) > ADDONS_LIMIT:
        raise BakeryError(f"{folder} on {volume.name} holds more than {ADDONS_LIMIT} add-ons")
    found = []
    for name in names:
        try:
            found.append(uki.read_addon(reader.bytes_of(volume, f"{folder}/{name}")))
        except BakeryError as error:
            reader.notes.append(f"{folder}/{name} on {volume.name} is passed over: {error.message}")
    return found


def is_image(read_at: ReadAt) -> bool:
    """Whether a file is an EFI program that holds a kernel."""
    try:
        return uki.is_uki(pe.read(read_at))
    except BakeryError:
        return False


def _part(file: ImageFile, section: Section) -> ImageFile:
    return ImageFile(file.volume, file.path, section.offset, section.size_bytes)
