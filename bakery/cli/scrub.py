"""`bakery scrub`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import FILE, PATH, Output, output, reads_images

if TYPE_CHECKING:
    from bakery.build.scrub.find import Findings
    from bakery.build.spec import Recovery


@click.command("scrub", short_help="Remove secrets and identity from an image.")
@click.argument("image", type=PATH)
@click.option("-o", "--output", "out_image", type=FILE, help="The image to write.")
@click.option("--in-place", is_flag=True, help="Replace IMAGE with the new image.")
@click.option("--dry-run", is_flag=True, help="Report what is found without writing anything.")
@click.option("--rules", "own", type=FILE, metavar="FILE.toml", help="File with rules of your own.")
@click.option("--recovery", type=FILE, help="Keep what is removed in this file, encrypted.")
@click.option(
    "--public-key", type=FILE, metavar="KEY", help="Public key to encrypt it for: RSA or age."
)
@click.option(
    "--leave-unsearched",
    "leave",
    multiple=True,
    metavar="NAME",
    help="Leave as it is what is mounted there and cannot be searched (repeatable).",
)
@reads_images
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
    leave: tuple[str, ...],
) -> None:
    """Write IMAGE without keys, credentials, histories, logs, identity and deleted data.

    What is found is listed first: the rule, the path, its bytes, and why. The image itself is never
    changed; with --in-place a new one replaces it in one step. What the system uses and cannot be
    searched is an error, unless it is named by --leave-unsearched.
    """
    from bakery.build.scrub import rules, unsearched, work

    target = _target(image, out_image, in_place=in_place, dry_run=dry_run)
    kept = _kept(recovery, public_key)
    known = rules.load(own)
    if target is None:
        findings = work.look_at_file(image, known, out.report)
        _print(out, image, findings)
    else:

        def show(findings: "Findings") -> None:
            _print(out, image, findings)

        request = work.Request(rules=known, recovery=kept, leave_unsearched=leave)
        findings = work.scrub_file(image, target, request, out.report, show)
    archive = str(recovery) if kept and target and findings.kept else None
    if target:
        out.print(f"written: {out_image or image}" + (f", kept in {archive}" if archive else ""))
    if kept and target and not archive:
        out.print(f"nothing that could be kept was removed: {recovery} was not written")
    out.document(
        {
            "image": str(image),
            "output": str(out_image or image) if target else None,
            "recovery": archive,
            **_fields(findings),
        }
    )
    if target is None:  # as it would be for a run that writes
        unsearched.refuse(findings.unsearched, leave)


def _target(image: Path, out_image: Path | None, *, in_place: bool, dry_run: bool) -> Path | None:
    """The image to write, links followed; None where nothing is to be written."""
    if out_image and in_place:
        raise click.UsageError("-o and --in-place are mutually exclusive")
    if dry_run:
        return None
    if in_place:
        return image.resolve()
    if out_image is None:
        raise click.UsageError("no output given: use -o OUT, --in-place, or --dry-run to only look")
    if out_image.resolve() == image.resolve():
        raise click.UsageError(f"{out_image} is the image itself: use --in-place for that")
    return out_image.resolve()


def _kept(recovery: Path | None, public_key: Path | None) -> "Recovery | None":
    from bakery.build.spec import Recovery

    if (recovery is None) != (public_key is None):
        raise click.UsageError("--recovery and --public-key must be used together")
    return Recovery(recovery, public_key) if recovery and public_key else None


def _print(out: Output, image: Path, findings: "Findings") -> None:
    from bakery.cli.table import text

    for note in findings.notes:
        out.print(f"note: {note}")
    for item in findings.unsearched:
        out.print(f"not searched: {item.told}")
    rows = [(f.rule, f"{f.device}:{f.path}", str(f.size_bytes), f.why) for f in findings.files]
    rows += [
        ("swap", volume.device, str(volume.size_bytes), "swapped-out memory of programs")
        for volume in findings.swaps
    ]
    rows += [
        ("deleted-data", f"{volume.device}: free space", "", "files deleted earlier")
        for volume in findings.filesystems
    ]
    gaps = sum(gap.length for gap in findings.gaps)
    if gaps:
        rows.append(
            ("deleted-data", "between partitions", str(gaps), "remains of earlier contents")
        )
    out.print(f"{image}: {len(findings.files)} files and folders")
    out.text(text(("RULE", "PATH", "BYTES", "WHY"), rows, right=("BYTES",)))


def _fields(findings: "Findings") -> dict[str, object]:
    return {
        "files": findings.files,
        "swap_volumes": [volume.device for volume in findings.swaps],
        "cleared_volumes": [volume.device for volume in findings.filesystems],
        "gap_bytes": sum(gap.length for gap in findings.gaps),
        "unsearched": findings.unsearched,
        "notes": findings.notes,
    }
