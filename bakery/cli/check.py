"""`bakery check`: is an image safe to hand to a conductor."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.disk.findings import CheckReport

FORMATS = ("qcow2", "raw", "vmdk", "vhd", "vpc", "vhdx", "vdi")


@click.command("check", short_help="Whether an image is safe to hand on.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--format", "claimed", type=click.Choice(FORMATS), default=None,
    help="What the image is said to be; anything else by its content is refused.",
)  # fmt: skip
@output
def command(out: Output, image: Path, claimed: str | None) -> int:
    """Tell whether IMAGE is safe to hand to a conductor, and if not, why.

    The image is looked at by its content and never run. Exit code 1 where it is refused.
    """
    import msgspec

    from bakery.disk import safety

    report = safety.check(image, claimed=claimed or "")
    found = msgspec.to_builtins(report)
    out.document({"image": image.name, "safe": report.is_safe, **found})
    for line in _lines(image.name, report):
        # A file's name may hold line breaks and the codes that move a terminal's cursor.
        out.print("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line))
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
