"""`bakery restore`."""

from pathlib import Path

import click

from bakery.cli.options import FILE, PATH, Output, output, reads_images


@click.command("restore", short_help="Restore what scrub removed from an image.")
@click.argument("image", type=PATH)
@click.option("--recovery", type=FILE, required=True, help="Recovery archive that scrub wrote.")
@click.option(
    "--private-key",
    type=FILE,
    required=True,
    metavar="KEY",
    help="Private key (mode 0600) that opens the archive.",
)
@click.option(
    "-o", "--output", "out_image", type=FILE, help="Write a new image instead of replacing IMAGE."
)
@reads_images
@output
def command(
    out: Output, image: Path, recovery: Path, private_key: Path, out_image: Path | None
) -> None:
    """Restore everything in the archive to IMAGE, with owners, modes, attributes and times.

    The whole archive is verified before the image is touched, and the new image replaces the old
    one in one step.
    """
    from bakery.build.scrub import work
    from bakery.host import secret_file

    secret_file.check(private_key)
    target = (out_image or image).resolve()
    restored = work.restore(image, target, recovery, private_key, out.report)
    out.print(f"{out_image or image}: {restored.files} files, {restored.size_bytes} bytes restored")
    out.document(
        {
            "image": str(image),
            "output": str(out_image or image),
            "files": restored.files,
            "size_bytes": restored.size_bytes,
        }
    )
