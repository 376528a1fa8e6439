"""`bakery lab`: virtual bare metal, and the sample images it boots."""

from pathlib import Path

import click

from bakery.cli import lab_inside, lab_nodes
from bakery.cli.options import FILE, FOLDER, Output, output
from bakery.host.errors import UsageError


@click.group("lab", short_help="Run virtual bare metal and make sample images.")
def command() -> None:
    """Virtual bare metal on one machine, and sample images for it."""


for subcommand in (
    lab_nodes.up,
    lab_nodes.status,
    lab_inside.console,
    lab_inside.run,
    lab_nodes.down,
):
    command.add_command(subcommand)


@command.command()
@click.argument("out", type=FILE, required=False)
@click.option("--variant", default="default", help="Which sample to build.")
@click.option(
    "--cache",
    type=FOLDER,
    help="Where to keep finished images and their parts.  [default: ~/.cache/bakery]",
)
@click.option("--list", "list_variants", is_flag=True, help="List the variants and stop.")
@output
def image(
    answer: Output, out: Path | None, variant: str, cache: Path | None, *, list_variants: bool
) -> None:
    """Build a real sample image at OUT (qcow2).

    The first image takes a few minutes and needs root. Others reuse its parts, and one that was
    built before comes from the cache at once.
    """
    if list_variants:
        _list(answer)
        return
    if out is None:
        raise UsageError("no OUT given for the image", "bakery lab image OUT.qcow2")
    from bakery.samples.cache import default_cache
    from bakery.samples.image import make_image

    info = make_image(out, variant, cache or default_cache(), answer.report)
    answer.document(info)
    answer.print(f"{out}: {info.about}")
    answer.print(f"  kernel {info.kernel_version}, {info.root_filesystem} on {info.root_device}")
    answer.print(f"  log in as root with the password '{info.password}'")


def _list(answer: Output) -> None:
    from bakery.samples.variants import VARIANTS

    for variant in VARIANTS:
        answer.print(f"{variant.name:<16} {variant.about}")
    answer.document([{"variant": v.name, "about": v.about} for v in VARIANTS])
