"""What of an image is built, and how: the user's options held against what the image is."""

from pathlib import Path
from typing import Literal

import msgspec

from bakery import bootentries
from bakery.bootentries import BootEntry
from bakery.disk.extents import Extent
from bakery.disk.volumes import Partition, PartitionTable, Volume
from bakery.engines.base import Addition
from bakery.engines.choose import EngineName, EngineOption
from bakery.errors import BakeryError
from bakery.inspection import LAYOUTS, Inspection
from bakery.manifest import Layout, SbomForm, valid_name
from bakery.system import kargs

EditKind = Literal["fstab", "kargs", "none"]

# What a partition for LVM is called in an MBR and a GPT (sfdisk --list-types).
LVM_TYPES = ("8e", "E6D6D379-F507-44C2-A23C-238F2A3DF928")


class Scrub(msgspec.Struct, frozen=True, kw_only=True):
    """That the image is scrubbed first: by which rules, where what is taken is kept, for whom.

    `recovery` and `public_key` are there both or not at all.
    """

    rules: Path | None = None
    recovery: Path | None = None
    public_key: Path | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; None and empty mean: as the image has it."""

    layout: Layout | None = None
    engine: EngineOption = "auto"
    deployment: int | None = None
    name: str | None = None
    karg_append: tuple[str, ...] = ()
    karg_delete: tuple[str, ...] = ()
    sha256: bool = False
    compress: Literal["", "zstd"] = ""
    sbom: tuple[SbomForm, ...] = ()
    """The kinds of bill of materials to write."""
    source_sha256: str = ""
    """What the image has to be, in hexadecimal."""
    scrub: Scrub | None = None
    files: tuple[Addition, ...] = ()
    """What is put into the image."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is decided once the image is inspected."""

    layout: Layout
    name: str
    entry: BootEntry | None
    """None where the whole disk is built of an image that cannot be taken apart."""
    kernel_args: tuple[str, ...]
    root: Volume | None
    partition: Partition | None
    """The partition the base is, or lies in; None for a whole disk."""
    place: tuple[Extent, ...]
    """The ranges of the disk that make the base, in order."""
    edit: EditKind
    edit_engine: EngineName
    edit_reason: str
    """Why that engine edits."""


def choose(inspection: Inspection, options: Options, stem: str, engine: EngineName) -> Choice:
    """Settle every option; BakeryError where the image cannot be what was asked for.

    `stem` is the image file's name without its suffix; `engine` the one that inspected.
    """
    layout = _layout(inspection, options)
    entry = _entry(inspection, options, layout)
    root = inspection.survey.volume(entry.root) if entry else None
    place, partition = _place(inspection, layout, root)
    args = _kernel_args(inspection, options, layout, entry)
    edit = _edit_kind(options, layout)
    edit_engine, reason = _edit_engine(edit, entry, options, engine)
    return Choice(
        layout=layout,
        name=_name(options, entry, stem),
        entry=entry,
        kernel_args=args,
        root=root,
        partition=partition,
        place=place,
        edit=edit,
        edit_engine=edit_engine,
        edit_reason=reason,
    )


def likely_place(
    table: PartitionTable | None, size_bytes: int, options: Options
) -> tuple[Extent, ...]:
    """The `place` that `choose` will most probably come to; empty where there is no telling.

    `table` and `size_bytes` are those of the disk, which nobody has inspected yet.
    """
    if options.layout == "disk":
        return (Extent(0, size_bytes),)
    if options.layout == "lv" or table is None:
        return ()
    held = [p for p in table.partitions if p.type in LVM_TYPES]
    return tuple(Extent(p.start_bytes, p.size_bytes) for p in held) if len(held) == 1 else ()


def _layout(inspection: Inspection, options: Options) -> Layout:
    wanted = options.layout or inspection.layout
    able = [layout for layout in LAYOUTS if layout not in inspection.refusals]
    if options.layout is None and wanted == "disk":
        # Nobody asked for a whole disk: the user came for kernel, ramdisk and base.
        raise BakeryError(
            f"the image cannot be taken apart: {inspection.refusals['lv']}",
            "the whole disk can be built: --layout disk",
        )
    if wanted is None or wanted in inspection.refusals:
        reason = inspection.refusals.get(wanted or "disk", "")
        hint = f"it can become: {', '.join(able)}" if able else bootentries.FOR_THE_CURIOUS
        raise BakeryError(f"the image cannot become layout {wanted}: {reason}", hint)
    return wanted


def _entry(inspection: Inspection, options: Options, layout: Layout) -> BootEntry | None:
    entries = inspection.entries
    number = options.deployment or 0
    if options.deployment is not None and not 0 <= number < len(entries):
        raise BakeryError(
            f"there is no deployment {number}: the image has {len(entries)} boot entries",
            bootentries.FOR_THE_CURIOUS,
        )
    entry = entries[number] if entries else None
    if entry and entry.problem and layout != "disk":
        others = [str(i) for i, e in enumerate(entries) if not e.problem]
        hint = f"another one can be built: --deployment {' or '.join(others)}" if others else ""
        raise BakeryError(entry.problem, hint or bootentries.FOR_THE_CURIOUS)
    return None if entry is None or entry.problem else entry


def _place(
    inspection: Inspection, layout: Layout, root: Volume | None
) -> tuple[tuple[Extent, ...], Partition | None]:
    survey = inspection.survey
    if layout == "disk":
        return (Extent(0, survey.size_bytes),), None
    assert root is not None
    partition = _partition(inspection, root)
    if layout == "lv":
        return root.place, partition
    group = survey.group_of(root.device)
    assert group is not None
    if partition is None:
        return (Extent(0, survey.size_bytes),), None
    return (Extent(partition.start_bytes, partition.size_bytes),), partition


def _partition(inspection: Inspection, root: Volume) -> Partition | None:
    table = inspection.survey.table
    group = inspection.survey.group_of(root.device)
    for partition in table.partitions if table else ():
        held = group.partition == partition.number if group else root.device == partition.device
        if held:
            return partition
    return None


def _kernel_args(
    inspection: Inspection, options: Options, layout: Layout, entry: BootEntry | None
) -> tuple[str, ...]:
    if entry is None:
        if options.karg_append or options.karg_delete:
            raise BakeryError(
                "the image's kernel arguments cannot be edited: "
                + inspection.refusals.get("lv", "it has no boot entry")
            )
        return ()
    args = entry.args
    root = inspection.survey.volume(entry.root)
    lv = inspection.survey.logical_volume(entry.root)
    if layout == "lv" and root is not None and lv is not None:
        if not root.uuid:
            raise BakeryError(f"{root.device} has no UUID to name it by as root=UUID=…")
        args = kargs.rewrite_root(args, f"UUID={root.uuid}", (lv.vg, lv.name))
    for pattern in options.karg_delete:
        args = kargs.delete(args, pattern)
    for new in options.karg_append:
        args = kargs.append(args, new)
    return args


def _edit_kind(options: Options, layout: Layout) -> EditKind:
    if layout != "disk":
        return "fstab"
    return "kargs" if options.karg_append or options.karg_delete else "none"


def _edit_engine(
    edit: EditKind, entry: BootEntry | None, options: Options, engine: EngineName
) -> tuple[EngineName, str]:
    obstacle = ""
    if edit == "kargs":
        obstacle = "kernel arguments inside the image change a file's length"
    elif edit == "fstab" and entry is not None:
        obstacle = entry.fstab_obstacle
    if not obstacle or engine == "guestfs":
        return engine, ""
    if options.engine == "direct":
        raise BakeryError(
            f"the direct engine cannot edit this image: {obstacle}",
            "let the other one do it: --engine auto",
        )
    return "guestfs", obstacle


def _name(options: Options, entry: BootEntry | None, stem: str) -> str:
    if options.name is not None:
        if not valid_name(options.name):
            raise BakeryError(
                f"--name {options.name!r} is no name for files",
                "letters, digits, '.', '_', '+' and '-' make a name",
            )
        return options.name
    if entry and entry.stateroot and valid_name(entry.stateroot):
        return entry.stateroot
    tidy = "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "-" for c in stem)
    tidy = tidy.strip(".-")[:128]
    return tidy if valid_name(tidy) else "image"
