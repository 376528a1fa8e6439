"""`bakery ramdisk`: the kernel and ramdisk that a node boots to be written."""

from pathlib import Path

import click

from bakery.cli.options import FOLDER, Output, output


@click.command("ramdisk", short_help="Make the deploy kernel and ramdisk.")
@click.option(
    "-o",
    "--output",
    "directory",
    type=FOLDER,
    default=Path("ramdisk"),
    help="Folder for deploy-kernel and deploy-ramdisk.",
)
@click.option("--kernel", metavar="VERSION", help="Kernel version.  [default: newest]")
@click.option(
    "--root",
    type=FOLDER,
    default=Path("/"),
    help="Root folder of the system to take them from; any but / needs root.",
)
@output
def command(out: Output, directory: Path, kernel: str | None, root: Path) -> None:
    """Make the deploy kernel and ramdisk, from packages installed on this machine.

    A node that boots them exports its disk over iSCSI and reports to Ironic's classic API. The
    same packages give the same bytes.
    """
    import msgspec

    from bakery.node.ramdisk.make import make
    from bakery.system import architecture

    made = make(directory, out.report, kernel or "", root)
    with made.kernel.open("rb") as file:
        processor = architecture.of_kernel(file.read(architecture.HEAD_BYTES))
    for path, size, about in (
        (
            made.kernel,
            made.kernel_bytes,
            f"Linux {made.kernel_version} for {processor or 'an unknown processor'}",
        ),
        (made.ramdisk, made.ramdisk_bytes, f"{made.modules} modules"),
    ):
        out.print(f"{path}  {size / (1 << 20):.1f} MiB, {about}")
    if made.firmware_lacking:
        out.print(f"firmware not found, and left out: {', '.join(made.firmware_lacking)}")
    out.document({**msgspec.structs.asdict(made), "processor": processor})
