"""What of an image is built, and how: the user's options held against what the image is."""

import re
from pathlib import Path
from typing import Literal

import msgspec

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Partition, PartitionTable, Volume
from bakery.host.errors import BakeryError
from bakery.image import boot_entries, left_behind
from bakery.image.boot_entries import BootEntry
from bakery.image.engines.base import Addition, Capability
from bakery.image.engines.choose import EngineName, EngineOption, pick
from bakery.image.inspection import LAYOUTS, Inspection
from bakery.image.left_behind import FileChange, Leaving
from bakery.manifest.manifest import Layout, LeftBehind, SbomForm, valid_name
from bakery.system import fstab, kargs

EditKind = Literal["names", "kargs", "none"]
"""What an edit changes: the names of devices that are left behind, or a boot loader's files."""

# What a partition for LVM is called in an MBR and a GPT (sfdisk --list-types).
LVM_TYPES = ("8e", "E6D6D379-F507-44C2-A23C-238F2A3DF928")


class Recovery(msgspec.Struct, frozen=True):
    """Where what a scrub takes goes, sealed, and for whom."""

    archive: Path
    public_key: Path


class Scrub(msgspec.Struct, frozen=True, kw_only=True):
    """That the image is scrubbed first: by which rules, and where what is taken is kept."""

    rules: Path | None = None
    recovery: Recovery | None = None
    leave_unsearched: tuple[str, ...] = ()
    """The names of what may stay as it is since it cannot be searched."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for; None and empty mean: as the image has it."""

    layout: Layout | None = None
    engine: EngineOption = "auto"
    deployment: int | None = None
    name: str | None = None
    karg_append: tuple[str, ...] = ()
    karg_delete: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """The mount points whose volumes may be left behind."""
    sha256: bool = False
    compress: Literal["", "zstd"] = ""
    sbom: tuple[SbomForm, ...] = ()
    """The kinds of bill of materials to write."""
    source_sha256: str = ""
    """What the image has to be, in hexadecimal."""
    scrub: Scrub | None = None
    files: tuple[Addition, ...] = ()
    """What is put into the image."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
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
    changes: tuple[FileChange, ...] = ()
    """What names a device that is left behind, and what it is changed to."""
    left_behind: tuple[LeftBehind, ...] = ()


def resolve(inspection: Inspection, options: Options, stem: str, engine: EngineName) -> Spec:
    """Settle every option; BakeryError where the image cannot be what was asked for.

    `stem` is the image file's name without its suffix; `engine` the one that inspected.
    """
    layout, entry = chosen(inspection, options.layout, options.deployment)
    root = inspection.survey.volume(entry.root) if entry else None
    place, partition = _place(inspection, layout, root)
    leaving = _leaving(inspection, options, layout, entry)
    edit = _edit_kind(options, layout, changes=bool(leaving.changes) or not place)
    edit_engine, reason = _edit_engine(edit, leaving, options, engine)
    return Spec(
        layout=layout,
        name=_name(options, entry, stem),
        entry=entry,
        kernel_args=leaving.args,
        root=root,
        partition=partition,
        place=place,
        edit=edit,
        edit_engine=edit_engine,
        edit_reason=reason,
        changes=leaving.changes,
        left_behind=leaving.items,
    )


def chosen(
    inspection: Inspection, layout: Layout | None, deployment: int | None
) -> tuple[Layout, BootEntry | None]:
    """The layout and the boot entry that are built; BakeryError where the image has not these."""
    found = _layout(inspection, layout)
    return found, _entry(inspection, deployment, found)


def likely_place(
    table: PartitionTable | None, size_bytes: int, options: Options
) -> tuple[Extent, ...]:
    """The `place` that `resolve` will most probably come to; empty where there is no telling.

    `table` and `size_bytes` are those of the disk, which nobody has inspected yet.
    """
    if options.layout == "disk":
        return (Extent(0, size_bytes),)
    if options.layout == "lv" or table is None:
        return ()
    held = [p for p in table.partitions if p.type in LVM_TYPES]
    return tuple(Extent(p.start_bytes, p.size_bytes) for p in held) if len(held) == 1 else ()


def _layout(inspection: Inspection, asked: Layout | None) -> Layout:
    wanted = asked or inspection.layout
    able = [layout for layout in LAYOUTS if layout not in inspection.refusals]
    if asked is None and wanted == "disk":
        # Nobody asked for a whole disk: the user came for kernel, ramdisk and base.
        raise BakeryError(
            f"the image cannot be taken apart: {inspection.refusals['lv']}",
            "the whole disk can be built: --layout disk",
        )
    if wanted is None or wanted in inspection.refusals:
        reason = inspection.refusals.get(wanted or "disk", "")
        hint = f"it can become: {', '.join(able)}" if able else boot_entries.FOR_THE_CURIOUS
        what = f"layout {wanted}" if wanted else "any layout"
        raise BakeryError(f"the image cannot become {what}: {reason}", hint)
    return wanted


def _entry(inspection: Inspection, asked: int | None, layout: Layout) -> BootEntry | None:
    entries = inspection.entries
    number = asked or 0
    if asked is not None and not 0 <= number < len(entries):
        raise BakeryError(
            f"there is no deployment {number}: the image has {_listed(entries)}",
            boot_entries.FOR_THE_CURIOUS,
        )
    entry = entries[number] if entries else None
    if entry and entry.problem and layout != "disk":
        others = [str(i) for i, e in enumerate(entries) if not e.problem]
        hint = f"another one can be built: --deployment {' or '.join(others)}" if others else ""
        raise BakeryError(entry.problem, hint or boot_entries.FOR_THE_CURIOUS)
    return None if entry is None or entry.problem else entry


def _listed(entries: tuple[BootEntry, ...]) -> str:
    """How many there are, and each by the number and the words of `bakery inspect`."""
    if not entries:
        return "no boot entry"
    named = "; ".join(f"{i}: {entry.title} ({entry.id})" for i, entry in enumerate(entries))
    return f"{len(entries)} boot {'entry' if len(entries) == 1 else 'entries'}, {named}"


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
    if partition is None:
        return (Extent(0, survey.size_bytes),), None
    return (Extent(partition.start_bytes, partition.size_bytes),), partition


def _partition(inspection: Inspection, root: Volume) -> Partition | None:
    table = inspection.survey.table
    group = inspection.survey.group_of(root.device)
    for partition in table.partitions if table else ():
        held = (partition.number,) == group.partitions if group else root.device == partition.device
        if held:
            return partition
    return None


def _leaving(
    inspection: Inspection, options: Options, layout: Layout, entry: BootEntry | None
) -> Leaving:
    """What the base leaves behind, and its kernel arguments; BakeryError where it needs that.

    What the user deletes is gone before the rule looks; what he adds stands as he wrote it.
    """
    if entry is None:
        if options.karg_append or options.karg_delete:
            raise BakeryError(
                "the image's kernel arguments cannot be edited: "
                + inspection.refusals.get("lv", "it has no boot entry")
            )
        return Leaving()
    args = entry.args
    for pattern in options.karg_delete:
        args = kargs.delete(args, pattern)
    without = tuple(fstab.tidy(point) for point in options.without)
    leaving = inspection.leaving(layout, entry, args, without)
    _accepted(leaving, without, layout)
    refusal = left_behind.refusal(leaving.items)
    if refusal:
        raise BakeryError(
            f"the image cannot become layout {layout}: {refusal}",
            _way_out(inspection, layout, entry, args),
        )
    args = leaving.args
    for new in options.karg_append:
        args = kargs.append(args, new)
    return msgspec.structs.replace(leaving, args=args)


def _accepted(leaving: Leaving, without: tuple[str, ...], layout: Layout) -> None:
    """BakeryError where the user does without what is not left, or with which nothing comes up."""
    for point in without:
        if point in left_behind.NOTHING_WITHOUT:
            raise BakeryError(f"--without {point}: no system comes up without it")
        if all(item.use != point or item.done != "taken out" for item in leaving.items):
            raise BakeryError(
                f"--without {point}: layout {layout} leaves no {point} behind",
                "bakery inspect shows what each layout leaves",
            )


def _way_out(
    inspection: Inspection, layout: Layout, entry: BootEntry, args: tuple[str, ...]
) -> str:
    """The options by which what was refused can be built."""
    left = {
        other: inspection.leaving(other, entry, args).items
        for other in LAYOUTS
        if other not in inspection.refusals
    }
    whole = [f"--layout {other}" for other in left if not left_behind.refusal(left[other])]
    return "it can be built: " + ", or ".join(
        filter(None, [*whole, left_behind.ways_out(left[layout])])
    )


def _edit_kind(options: Options, layout: Layout, *, changes: bool) -> EditKind:
    """`changes` tells of names; a volume that only a kernel puts together goes the same way."""
    if layout != "disk":
        return "names" if changes else "none"
    return "kargs" if options.karg_append or options.karg_delete else "none"


def _edit_engine(
    edit: EditKind, leaving: Leaving, options: Options, engine: EngineName
) -> tuple[EngineName, str]:
    """The engine that edits, and what keeps the one that inspected from it."""
    if edit == "none":
        return engine, ""
    need: Capability = "resize" if edit == "kargs" or leaving.grows else "edit"
    picked = pick(options.engine, need, {engine: leaving.obstacle}, first=engine)
    return picked.name, picked.obstacle


def _name(options: Options, entry: BootEntry | None, stem: str) -> str:
    if options.name is not None:
        if not valid_name(options.name):
            raise BakeryError(
                f"--name {options.name!r} cannot be used in file names",
                "letters, digits, '.', '_', '+' and '-' can",
            )
        return options.name
    if entry and entry.stateroot and valid_name(entry.stateroot):
        return entry.stateroot
    tidy = re.sub(r"[^A-Za-z0-9._+-]", "-", stem).strip(".-")[:128]
    return tidy if valid_name(tidy) else "image"
