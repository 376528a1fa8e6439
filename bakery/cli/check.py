"""`bakery check`: is an image safe to hand to a conductor."""

from pathlib import Path

import click

from bakery.cli.options import Output, output

FORMATS = ("qcow2", "raw", "vmdk", "vhd", "vpc", "vhdx", "vdi")


@click.command()
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
    from bakery.disk import safety

    report = safety.check(image, claimed=claimed or "")
    out.document({"image": image.name, "safe": report.is_safe, "report": report})
    if report.is_safe:
        gib = report.virtual_size_bytes / (1 << 30)
        out.print(f"{image.name}: fine ({report.format}, a disk of {gib:.2f} GiB)")
    for finding in report.findings:
        mark = "refused" if finding.severity == "refuse" else "note"
        known = f" ({', '.join(finding.cve)})" if finding.cve else ""
        out.print(f"{image.name}: {mark}: {finding.message}{known} [{finding.id}]")
        if finding.hint:
            out.print(f"  {finding.hint}")
    return 0 if report.is_safe else 1
