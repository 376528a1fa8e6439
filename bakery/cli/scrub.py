"""`bakery scrub`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.scrub.find import Findings
    from bakery.scrub.work import Recovery

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("scrub", short_help="Take secrets and identity out of an image.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("-o", "--output", "out_image", type=FILE, help="The image to write.")
@click.option("--in-place", is_flag=True, help="Put the new image in IMAGE's own place.")
@click.option("--dry-run", is_flag=True, help="Tell what is found, and write nothing.")
@click.option("--rules", "own", type=FILE, metavar="FILE.toml", help="Rules of your own.")
@click.option("--recovery", type=FILE, help="Keep what is taken in this file, encrypted.")
@click.option("--public-key", type=FILE, metavar="KEY", help="Who can open it: RSA or age.")
@output
def command(
    out: Output,
    image: Path,
    out_image: Path | None,
    *,
    in_place: bool,
    dry_run: bool,
    own: Path | None,
    recovery: Path | None,
    public_key: Path | None,
) -> None:
    """Write IMAGE without keys, credentials, histories, logs, identity and deleted data.

    What is found is told first: the rule, the path, its bytes, and why. The image itself is never
    changed; with --in-place a new one takes its place, whole.
    """
    from bakery.scrub import rules, work

    target = _target(image, out_image, in_place=in_place, dry_run=dry_run)
    kept = _kept(recovery, public_key)
    known = rules.load(own)
    source = work.source(image)
    if target is None:
        with tempfile.TemporaryDirectory(prefix="bakery-") as folder:
            findings = work.look(source, known, Path(folder), out.report)
        _print(out, image, findings)
    else:

        def show(findings: "Findings") -> None:
            _print(out, image, findings)

        findings = work.scrub(source, target, known, kept, out.report, show)
    archive = str(recovery) if kept and target and findings.kept else None
    if target:
        out.print(f"written: {out_image or image}" + (f", kept in {archive}" if archive else ""))
    if kept and target and not archive:
        out.print(f"nothing was taken that could be kept: {recovery} was not written")
    out.document(
        {
            "image": str(image),
            "output": str(out_image or image) if target else None,
            "recovery": archive,
            **_fields(findings),
        }
    )


def _target(image: Path, out_image: Path | None, *, in_place: bool, dry_run: bool) -> Path | None:
    """The image to write, links followed; None where nothing is to be written."""
    if out_image and in_place:
        raise click.UsageError("-o and --in-place exclude each other")
    if dry_run:
        return None
    if in_place:
        return image.resolve()
    if out_image is None:
        raise click.UsageError("say where to: -o OUT, or --in-place, or --dry-run to look only")
    if out_image.resolve() == image.resolve():
        raise click.UsageError(f"{out_image} is the image itself: that takes --in-place")
    return out_image.resolve()


def _kept(recovery: Path | None, public_key: Path | None) -> "Recovery | None":
    from bakery.scrub.work import Recovery

    if (recovery is None) != (public_key is None):
        raise click.UsageError("--recovery and --public-key go together")
    return Recovery(recovery, public_key) if recovery and public_key else None


def _print(out: Output, image: Path, findings: "Findings") -> None:
    from bakery.cli.table import text

    for note in findings.notes:
        out.print(f"note: {note}")
    rows = [(f.rule, f"{f.device}:{f.path}", str(f.size_bytes), f.why) for f in findings.files]
    rows += [
        ("swap", volume.device, str(volume.size_bytes), "memory of programs, whatever was in it")
        for volume in findings.swaps
    ]
    rows += [
        ("deleted-data", f"{volume.device}: free space", "", "files that were deleted before")
        for volume in findings.filesystems
    ]
    gaps = sum(gap.length for gap in findings.gaps)
    if gaps:
        rows.append(("deleted-data", "between partitions", str(gaps), "what was there before"))
    out.print(f"{image}: {len(findings.files)} files and folders")
    out.print(text(("RULE", "PATH", "BYTES", "WHY"), rows, right=("BYTES",)))


def _fields(findings: "Findings") -> dict[str, object]:
    return {
        "files": findings.files,
        "swap_volumes": [volume.device for volume in findings.swaps],
        "cleared_volumes": [volume.device for volume in findings.filesystems],
        "gap_bytes": sum(gap.length for gap in findings.gaps),
        "notes": findings.notes,
    }
