"""`bakery inspect`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.build import ENGINES
from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.bootentries import BootEntry
    from bakery.disk.volumes import Survey
    from bakery.engines.choose import EngineOption
    from bakery.inspection import Inspection

GPT_LABELS = {"dos": "MBR", "gpt": "GPT"}


@click.command("inspect", short_help="What an image is, and what it can become.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=ENGINES,
    default="auto",
    show_default=True,
    help="How to get at the image's files.",
)
@output
def command(out: Output, image: Path, engine: "EngineOption") -> None:
    """Show what IMAGE is: partitions, volumes, deployments, and what it can become.

    The image is read, never run and never written.
    """
    from bakery import inspection
    from bakery.disk import safety
    from bakery.engines.choose import open_engine, pick
    from bakery.source import refuse_unsafe

    found = safety.identify(image.absolute())
    # What is left out here, the survey below looks at: the partition table.
    refuse_unsafe(image, safety.check(image, with_partitions=False, with_openstack=False))
    name, reason = pick(engine)
    if name == "guestfs":
        out.report.note(f"an appliance is needed, which takes a while ({reason})")
    with (
        tempfile.TemporaryDirectory(prefix="bakery-") as work,
        open_engine(name, image.absolute(), found.name, Path(work), out.report) as session,
    ):
        result = inspection.inspect(session)
    out.print(f"{image}: {found.name}, {found.virtual_size_bytes} bytes as a disk")
    _print(out, result)
    out.document(
        {
            "image": str(image),
            "format": found.name,
            "engine": name,
            "virtual_size_bytes": found.virtual_size_bytes,
            **_fields(result),
        }
    )


def _fields(result: "Inspection") -> dict[str, object]:
    import msgspec

    return dict(msgspec.structs.asdict(result))


def _print(out: Output, result: "Inspection") -> None:
    _print_volumes(out, result.survey)
    if result.os_name:
        out.print(f"system: {result.os_name}")
    if result.boot:
        out.print(f"boot: {result.boot}, {result.boot_prefix or '/'}")
    for number, entry in enumerate(result.entries):
        _print_entry(out, number, entry)
    for layout in ("pv", "lv", "disk"):
        why = result.refusals.get(layout)
        out.print(f"layout {layout}: " + (f"no, {why}" if why else "yes"))
    if result.firmware:
        out.print(f"boots as a whole disk by: {', '.join(result.firmware)}")
    for note in result.notes:
        out.print(f"note: {note}")


def _print_volumes(out: Output, survey: "Survey") -> None:
    table = survey.table
    out.print(f"partition table: {GPT_LABELS.get(table.label, table.label) if table else 'none'}")
    for volume in survey.volumes:
        what = volume.type or "nothing recognised"
        label = f" label {volume.label}" if volume.label else ""
        start = volume.place[0].offset if volume.place else 0
        out.print(
            f"  {volume.device:<24} {what:<12} start {start:>12}  size {volume.size_bytes:>13}"
            f"  {volume.uuid}{label}"
        )
    for group in survey.groups:
        for lv in group.volumes:
            state = (
                f"cannot be used: {lv.unusable}"
                if lv.unusable
                else (f"{len(lv.segments)} segment{'s' if len(lv.segments) != 1 else ''}")
            )
            out.print(f"  VG {group.name} LV {lv.name}: {lv.size_bytes} bytes, {state}")


def _print_entry(out: Output, number: int, entry: "BootEntry") -> None:
    out.print(f"deployment {number}: {entry.title} ({entry.id})")
    if entry.problem:
        out.print(f"  cannot be built: {entry.problem}")
    out.print(f"  kernel {entry.kernel}")
    out.print(f"  initrd {' '.join(entry.initrds)}")
    if entry.stateroot:
        out.print(f"  ostree {entry.stateroot} {entry.checksum}.{entry.serial}")
    out.print(f"  root {entry.root or '?'}")
    out.print(f"  args {' '.join(entry.args)}")
