"""`bakery download`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import CLOUD, Output, output

if TYPE_CHECKING:
    from bakery.cloud.pull import Pulled


@click.command("download", short_help="Bring a published build back.")
@click.argument("name", metavar="NAME_OR_ID")
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for the build.",
)
@CLOUD
@click.option(
    "--store-metadata",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Glance's filesystem_store_metadata_file: its store is mounted on this machine.",
)
@click.option(
    "--link",
    is_flag=True,
    help="Hard-link to a mounted store's file. Never write to the build then.",
)
@output
def command(
    out: Output,
    name: str,
    directory: Path,
    cloud: str | None,
    store_metadata: Path | None,
    link: bool,  # noqa: FBT001 - click hands options over by name
) -> None:
    """Bring the build that is published as NAME_OR_ID into a folder, verified.

    The folder then equals the one that was uploaded, file by file. A download that was
    interrupted goes on where it stopped. Where Glance's own store is mounted here, its file is
    reflinked or copied instead of coming over the network.
    """
    from bakery.cloud import handover, pull
    from bakery.cloud.images import Images

    stores = handover.stores(store_metadata) if store_metadata else ()
    images = Images.of_cloud(cloud)
    pulled = pull.pull(images, name, directory, out.report, stores=stores, link=link)
    _show(out, pulled, name)


def _show(out: Output, pulled: "Pulled", name: str) -> None:
    build = pulled.build
    if not pulled.ways:
        out.print(f"{build.directory} is up to date: it is {name} already")
    for artifact in build.manifest.artifacts:
        way = pulled.ways.get(artifact, "was here")
        size = build.manifest.artifacts[artifact].size_bytes
        out.print(f"{build.directory / build.manifest.file(artifact)}  {size} bytes, {way}")
    out.document(
        {
            "directory": str(build.directory),
            "base": pulled.base_id,
            "ways": pulled.ways,
            "fetched_bytes": pulled.fetched_bytes,
            "manifest": build.manifest,
        }
    )
