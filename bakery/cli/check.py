"""`bakery check`: is an image safe to hand to a conductor."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import PATH, Output, output, reads_images

if TYPE_CHECKING:
    from bakery.disk.findings import CheckReport

FORMATS = ("qcow2", "raw", "vmdk", "vhd", "vpc", "vhdx", "vdi")


@click.command("check", short_help="Check whether an image is safe to hand on.")
@click.argument("image", type=PATH)
@click.option(
    "--format", "claimed", type=click.Choice(FORMATS),
    help="Expected format; an image with other content is refused.",
)  # fmt: skip
@reads_images
@output
def command(out: Output, image: Path, claimed: str | None) -> int:
    """Check whether IMAGE is safe to hand to a conductor, and if not, say why.

    The image is identified by its content and never run. Exit code 1 if it is refused.
    """
    from bakery.disk.formats import safety

    report = safety.check(image, claimed=claimed or "")
    out.document(
        {
            "image": image.name,
            "safe": report.is_safe,
            "format": report.format,
            "virtual_size_bytes": report.virtual_size_bytes,
            "findings": [finding.document() for finding in report.findings],
        }
    )
    for line in _lines(image.name, report):
        out.print(line)
    return 0 if report.is_safe else 1


def _lines(name: str, report: "CheckReport") -> Iterator[str]:
    if report.is_safe:
        gib = report.virtual_size_bytes / (1 << 30)
        yield f"{name}: fine ({report.format}, a disk of {gib:.2f} GiB)"
    for finding in report.findings:
        mark = "refused" if finding.severity == "refuse" else "note"
        known = f" ({', '.join(finding.cve)})" if finding.cve else ""
        yield f"{name}: {mark}: {finding.message}{known} [{finding.id}]"
        if finding.hint:
            yield f"  {finding.hint}"
