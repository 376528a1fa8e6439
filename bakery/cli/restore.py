"""`bakery restore`."""

from pathlib import Path

import click

from bakery.cli.options import Output, output

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("restore", short_help="Put back what scrub took out of an image.")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--recovery", type=FILE, required=True, help="What scrub kept.")
@click.option("--private-key", type=FILE, required=True, metavar="KEY", help="The key for it.")
@click.option("-o", "--output", "out_image", type=FILE, help="Write another image, not IMAGE.")
@output
def command(
    out: Output, image: Path, recovery: Path, private_key: Path, out_image: Path | None
) -> None:
    """Put everything in the archive back into IMAGE, with owners, modes, attributes and times.

    The archive is verified whole before the image is touched, and the new image takes the place of
    the old one whole.
    """
    from bakery.scrub import work

    source = work.source(image)
    target = (out_image or image).resolve()
    restored = work.restore(source, target, recovery, private_key, out.report)
    out.print(f"{out_image or image}: {restored.files} files, {restored.size_bytes} bytes are back")
    out.document(
        {
            "image": str(image),
            "output": str(out_image or image),
            "files": restored.files,
            "size_bytes": restored.size_bytes,
        }
    )
