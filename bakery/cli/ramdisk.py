"""`bakery ramdisk`: the kernel and ramdisk that a node boots to be written."""

from pathlib import Path

import click

from bakery.cli.options import Output, output


@click.command("ramdisk", short_help="Deploy kernel and ramdisk.")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ramdisk"),
    show_default=True,
    help="Folder for deploy-kernel and deploy-ramdisk.",
)
@click.option("--kernel", metavar="VERSION", default="", help="Which kernel.  [default: newest]")
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/"),
    show_default=True,
    help="Folder of the system to take them from; another than / needs root.",
)
@output
def command(out: Output, directory: Path, kernel: str, root: Path) -> None:
    """Make the deploy kernel and ramdisk, from packages that are installed on this machine.

    A node that boots them exports its disk over iSCSI and reports to Ironic's classic API. The
    same packages give the same bytes.
    """
    from bakery.ramdisk.make import make

    made = make(directory, out.report, kernel, root)
    for path, size, about in (
        (made.kernel, made.kernel_bytes, f"Linux {made.kernel_version}"),
        (made.ramdisk, made.ramdisk_bytes, f"{made.modules} modules"),
    ):
        out.print(f"{path}  {size / (1 << 20):.1f} MiB, {about}")
    if made.firmware_lacking:
        out.print(f"without the firmware they ask for: {', '.join(made.firmware_lacking)}")
    out.document(made)
