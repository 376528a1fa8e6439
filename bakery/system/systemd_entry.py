"""The entries of systemd-boot's menu: files in /loader/entries, and images in /EFI/Linux.

Source: UAPI.1 (uapi-group.org, "The Boot Loader Specification", types 1 and 2); where that is
silent, what systemd-boot does (systemd, src/boot/boot.c, boot_entry_add_type1 and _type2). GRUB
and OSTree read files of type 1 in their own ways.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from bakery.host.printable import printable, shown
from bakery.system import architecture, kargs, loader_lines
from bakery.system.uki import Profile, Uki

ENTRY_SUFFIX, IMAGE_SUFFIX = ".conf", ".efi"
ENTRIES_FOLDER, IMAGES_FOLDER = "/loader/entries", "/EFI/Linux"

Kind = Literal["linux", "efi", "uki", "uki-url", "auto"]
Values = dict[str, list[str]]
"""Each key of a file of type 1, with its values in their order."""

_PROGRAMS: tuple[Kind, ...] = ("linux", "efi", "uki", "uki-url")
_PATHS = ("initrd", "devicetree", "extra")
_COUNTER = re.compile(r"\+([0-9]+)(?:-([0-9]+))?", re.ASCII)
_COUNT_LIMIT = (1 << 31) - 1
_DIGITS_LIMIT = 10


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry.

    `id` is its file's name in lower case, with `@PROFILE` for each but the first of an image's
    profiles. `place` is the partition that it was found on, in the caller's words: `path` (the
    program, absolute), `initrds` and `devicetree` lie there. `path` of a `uki-url` is a URL.

    `options` are the arguments that systemd-boot hands to the program, None where it hands none:
    an image of type 2 then takes its own. `sort_key` and `machine_id` are None where nothing
    gives them. `tries_left` is None for an entry whose tries are not counted, 0 for one that is
    given up. `auto` is a program that systemd-boot itself looks for; it never starts by itself.
    """

    id: str
    kind: Kind
    place: str
    path: str
    initrds: tuple[str, ...] = ()
    options: str | None = None
    title: str = ""
    version: str = ""
    sort_key: str | None = None
    machine_id: str | None = None
    devicetree: str = ""
    extras: tuple[str, ...] = ()
    profile: int = 0
    tries_left: int | None = None
    tries_done: int = 0

    @property
    def arguments(self) -> kargs.Args:
        """The arguments of `options`; BakeryError as `kargs.parse` has it."""
        return kargs.parse(self.options or "")


class LeftOut(msgspec.Struct, frozen=True):
    """A file that systemd-boot shows no entry for, and why, as the end of a sentence."""

    file: str
    reason: str


def is_entry(file_name: str) -> bool:
    """Whether systemd-boot takes a file of ENTRIES_FOLDER for an entry, by its name."""
    return _is_named(file_name, ENTRY_SUFFIX)


def is_image(file_name: str) -> bool:
    """Whether systemd-boot looks into a file of IMAGES_FOLDER, by its name."""
    return _is_named(file_name, IMAGE_SUFFIX)


def of_type_1(
    text: bytes, file_name: str, *, place: str, machine: str, own_path: str = ""
) -> Entry | LeftOut:
    """The entry in a file of ENTRIES_FOLDER.

    `machine` is the processor of the systemd-boot that reads it, `own_path` its own path: it shows
    no entry for itself. An entry whose program does not exist is not shown either; that is for
    the caller to see. Of a key that stands twice the later counts, but options are joined and
    initrds are one a line. BakeryError beyond the limits of `loader_lines`.
    """
    values: Values = {}
    for key, value in loader_lines.pairs(text, f"the boot entry {shown(file_name)}"):
        values.setdefault(key, []).append(value)
    reason = _reason(values, machine)
    kind = next((name for name in _PROGRAMS if name in values), None)
    if reason or kind is None:
        return LeftOut(file_name, reason or "it names no program to start")
    program = values[kind][-1] if kind == "uki-url" else _path(values[kind][-1])
    others = {key: list(map(_path, values.get(key, ()))) for key in _PATHS}
    if program is None or any(None in paths for paths in others.values()):
        return LeftOut(file_name, "it names a path that is no file in its filesystem")
    if kind == "efi" and own_path and _lower(program) == _lower(own_path):
        return LeftOut(file_name, "it starts the program that reads it")
    paths = {key: tuple(filter(None, found)) for key, found in others.items()}
    return _entry(values, file_name, place, kind, program, paths)


def of_type_2(image: Uki, file_name: str, *, place: str) -> tuple[Entry | LeftOut, ...]:
    """The entries of an image in IMAGES_FOLDER, one for each profile."""
    found: list[Entry | LeftOut] = []
    for profile in image.profiles:
        entry = _of_profile(profile, file_name, place)
        found.append(entry)
        # systemd-boot looks for no further profile behind one that has no arguments.
        if isinstance(entry, Entry) and profile.cmdline is None:
            break
    return tuple(found)


def of_program(identity: str, title: str, *, place: str, path: str) -> Entry:
    """The entry that systemd-boot makes for a program it knows, such as another system's."""
    return Entry(id=identity, kind="auto", place=place, path=path, title=title)


def _entry(
    values: Values,
    file_name: str,
    place: str,
    kind: Kind,
    program: str,
    paths: Mapping[str, tuple[str, ...]],
) -> Entry:
    def last(key: str) -> str | None:
        return printable(values[key][-1]) if key in values else None

    left, done = _tries(file_name, ENTRY_SUFFIX)
    return Entry(
        id=_lower(file_name),
        kind=kind,
        place=place,
        path=program,
        # What is no kernel gets no initrd from systemd-boot.
        initrds=paths["initrd"] if kind == "linux" else (),
        options=" ".join(values["options"]) if "options" in values else None,
        title=last("title") or "",
        version=last("version") or "",
        sort_key=last("sort-key"),
        machine_id=last("machine-id"),
        devicetree=next(iter(paths["devicetree"][-1:]), ""),
        extras=paths["extra"],
        profile=_number(values["profile"][-1]) if "profile" in values and kind == "uki" else 0,
        tries_left=left,
        tries_done=done,
    )


def _of_profile(profile: Profile, file_name: str, place: str) -> Entry | LeftOut:
    """The entry of a profile; its name and version are picked as systemd-boot picks them."""
    if profile.os_release is None:
        return LeftOut(file_name, "it does not say which system it starts: no section .osrel")
    said = profile.os_release
    name = _first(said, "PRETTY_NAME", "IMAGE_ID", "NAME", "ID")
    if name is None:
        return LeftOut(file_name, "it does not say which system it starts: .osrel has no name")
    suffix = f"@{profile.id or profile.number}" if profile.number else ""
    kind = profile.title or profile.id or f"Profile #{profile.number + 1}"
    left, done = _tries(file_name, IMAGE_SUFFIX)
    return Entry(
        id=_lower(file_name + suffix),
        kind="uki",
        place=place,
        path=f"{IMAGES_FOLDER}/{file_name}",
        title=f"{name} ({kind})" if profile.title or profile.number else name,
        version=_first(said, "IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID") or "",
        sort_key=_first(said, "IMAGE_ID", "ID"),
        profile=profile.number,
        tries_left=left,
        tries_done=done,
    )


def _reason(values: Values, machine: str) -> str:
    """Why systemd-boot passes a file by, as the end of a sentence; empty where it does not."""
    kinds = [name for name in _PROGRAMS if name in values]
    if len(kinds) > 1:
        return f"it names programs of several kinds: {', '.join(kinds)}"
    suffix = architecture.EFI_SUFFIXES.get(machine, "")
    other = [one for one in values.get("architecture", ()) if suffix and _lower(one) != suffix]
    return f"it is for another processor: {shown(printable(other[0]))}" if other else ""


def _path(text: str) -> str | None:
    """A path as systemd-boot hands it to firmware, with `/`; None where it leads above the root.

    Firmware has no links, so `..` is taken by the name alone (UEFI, 13.5, EFI_FILE_PROTOCOL.Open).
    """
    names: list[str] = []
    for name in text.replace("\\", "/").split("/"):
        if name == ".." and not names:
            return None
        if name == "..":
            names.pop()
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names) if names else None


def _tries(file_name: str, suffix: str) -> tuple[int | None, int]:
    """Tries left and done: `NAME+LEFT-DONE`, where `-DONE` may be missing; None and 0 for a name
    that counts none (UAPI.1, "Boot counting")."""
    at = file_name.rfind("+")
    stem = file_name[: -len(suffix)] if _lower(file_name).endswith(suffix) else file_name
    match = _COUNTER.fullmatch(stem[at:]) if at >= 0 else None
    if match is None or any(len(digits or "") > _DIGITS_LIMIT for digits in match.groups()):
        return None, 0
    left, done = int(match[1]), int(match[2] or 0)
    return (None, 0) if max(left, done) > _COUNT_LIMIT else (left, done)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_LIMIT else 0


def _first(fields: Mapping[str, str], *keys: str) -> str | None:
    return next((fields[key] for key in keys if key in fields), None)


def _is_named(file_name: str, suffix: str) -> bool:
    lower = _lower(file_name)
    return not lower.startswith((".", "auto-")) and lower.endswith(suffix)


def _lower(text: str) -> str:
    """As systemd-boot folds case: A to Z and nothing else."""
    return "".join(char.lower() if char.isascii() else char for char in text)
