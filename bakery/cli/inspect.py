"""`bakery inspect`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.build import ENGINE
from bakery.cli.options import LUKS_KEY, PATH, Output, means_of, output, reads_images

if TYPE_CHECKING:
    from bakery.disk.findings import CheckReport
    from bakery.disk.volumes.volumes import Survey, Volume
    from bakery.image.boot.entry import BootEntry, Way
    from bakery.image.engines.choose import EngineOption
    from bakery.image.inspection import Inspection

GPT_LABELS = {"dos": "MBR", "gpt": "GPT"}
FIRMWARE = {"uefi": "UEFI", "bios": "BIOS"}
SHOWN_SUBVOLUMES = 32


@click.command("inspect", short_help="Show what an image is and what it can become.")
@click.argument("image", type=PATH)
@ENGINE
@LUKS_KEY
@reads_images
@output
def command(out: Output, image: Path, engine: "EngineOption", luks_key_file: Path | None) -> None:
    """Show what IMAGE is: partitions, volumes, deployments, and what it can become.

    The image is read, never run and never written.
    """
    import msgspec

    from bakery.image.engines.choose import can, pick
    from bakery.image.inspection import LAYOUTS
    from bakery.image.opened import Opened
    from bakery.image.source import look_at

    found = look_at(image.absolute(), _check)
    means = means_of(luks_key_file)
    name, reason, _ = pick(engine, "map" if means.unlocked else None)
    if not can(name, "quick"):
        out.report.note(f"starting an appliance, which takes a while ({reason})")
    with (
        tempfile.TemporaryDirectory(prefix="bakery-") as work,
        Opened(found, name, Path(work), out.report, means) as opened,
    ):
        result = opened.inspection
    out.print(f"{image}: {found.format}, {found.virtual_size_bytes} bytes as a disk")
    _print(out, result)
    out.document(
        {
            "image": str(image),
            "format": found.format,
            "engine": name,
            "virtual_size_bytes": found.virtual_size_bytes,
            **msgspec.structs.asdict(result),
            "refusals": {layout: why for layout in LAYOUTS if (why := result.why_not(layout))},
        }
    )


def _check(image: Path) -> "tuple[CheckReport, None]":
    """What is left out here, the survey looks at: the partition table."""
    from bakery.disk.formats import safety

    return safety.check(image, with_partitions=False, with_openstack=False), None


def _print(out: Output, result: "Inspection") -> None:
    _print_volumes(out, result.survey)
    if result.os_name:
        out.print(f"system: {result.os_name}")
    out.print(f"architecture: {result.architecture or 'not told'}")
    for way in result.ways:
        _print_way(out, way)
    for number, entry in enumerate(result.entries):
        _print_entry(out, number, entry)
    _print_layouts(out, result)
    if result.firmware:
        out.print(f"boots as a whole disk by: {', '.join(result.firmware)}")
    for note in result.notes:
        out.print(f"note: {note}")


def _print_layouts(out: Output, result: "Inspection") -> None:
    from bakery.image import left_behind
    from bakery.image.inspection import LAYOUTS

    for layout in LAYOUTS:
        why = result.why_not(layout)
        items = result.left_behind.get(layout, ())
        accepted = left_behind.ways_out(items)
        out.print(f"layout {layout}: " + (f"no, {why}" if why else "yes"))
        if accepted:
            out.print(f"  can be built with {accepted}")
        for item in items:
            if item.done != "refused":
                out.print(f"  {left_behind.told(item)}")


def _print_volumes(out: Output, survey: "Survey") -> None:
    table = survey.table
    kind = GPT_LABELS.get(table.label, table.label) if table else "none"
    sectors = f", sectors of {survey.sector_bytes} bytes" if survey.sector_bytes != 512 else ""
    out.print(f"partition table: {kind}{sectors}")
    for volume in survey.volumes:
        what = volume.type or "nothing recognised"
        label = f" label {volume.label}" if volume.label else ""
        start = volume.place[0].offset if volume.place else 0
        out.print(
            f"  {volume.device:<24} {what:<12} start {start:>12}  size {volume.size_bytes:>13}"
            f"  {volume.uuid}{label}"
        )
        _print_subvolumes(out, volume)
    for group in survey.groups:
        for lv in group.volumes:
            count = len(lv.segments)
            state = f"{count} segment{'s' if count != 1 else ''}" if count else "kernel's own"
            if lv.unusable:
                state = f"cannot be used: {lv.unusable}"
            out.print(f"  VG {group.name} LV {lv.name}: {lv.size_bytes} bytes, {state}")


def _print_subvolumes(out: Output, volume: "Volume") -> None:
    for subvolume in volume.subvolumes[:SHOWN_SUBVOLUMES]:
        default = ", the default" if subvolume.is_default else ""
        out.print(f"    subvolume {subvolume.id}: /{subvolume.path}{default}")
    more = len(volume.subvolumes) - SHOWN_SUBVOLUMES
    if more > 0:
        out.print(f"    {more} more subvolumes (--json has them all)")


def _print_way(out: Output, way: "Way") -> None:
    loader = f", {way.loader}" if way.loader else ""
    menus = f": {', '.join(way.menus)}" if way.menus else ""
    out.print(f"{FIRMWARE[way.firmware]} starts {way.program}{loader}{menus}")
    for said in filter(None, (way.note, way.problem)):
        out.print(f"  {said}")


def _print_entry(out: Output, number: int, entry: "BootEntry") -> None:
    out.print(f"deployment {number}: {entry.name}")
    reached = "" if entry.firmware else "; no firmware reaches this"
    out.print(f"  {entry.loader}, {entry.config}{reached}")
    if entry.firmware:
        starts = ", ".join(
            FIRMWARE[name] + (" (by itself)" if name in entry.default_for else "")
            for name in entry.firmware
        )
        out.print(f"  reached by {starts}")
    if entry.problem:
        out.print(f"  cannot be built: {entry.problem}")
    out.print(f"  kernel {entry.kernel}")
    out.print(f"  initrd {' '.join(map(str, entry.initrds))}")
    if entry.stateroot:
        out.print(f"  ostree {entry.stateroot} {entry.checksum}.{entry.serial}")
    out.print(f"  root {entry.root or '?'}")
    out.print(f"  args {' '.join(entry.args)}")
