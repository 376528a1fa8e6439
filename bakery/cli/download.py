"""`bakery download`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import CLOUD, PATH, Output, output, reads_images

if TYPE_CHECKING:
    from bakery.openstack.glance.download import Pulled


@click.command("download", short_help="Download a published build.")
@click.argument("name", metavar="NAME_OR_ID")
@click.option("-o", "--output", "directory", type=PATH, required=True, help="Folder for the build.")
@CLOUD
@click.option(
    "--store-metadata",
    type=PATH,
    metavar="FILE",
    help="Glance's filesystem_store_metadata_file: its store is mounted on this machine.",
)
@click.option(
    "--link", is_flag=True, help="Hard-link a mounted store's files; never write to the build then."
)
@reads_images
@output
def command(
    out: Output,
    name: str,
    directory: Path,
    cloud: str | None,
    store_metadata: Path | None,
    link: bool,  # noqa: FBT001 - click hands options over by name
) -> None:
    """Download the build published as NAME_OR_ID, and verify it.

    The folder ends up equal to the one that was uploaded, file by file. An interrupted download
    continues where it stopped. If Glance's own store is mounted here, its files are reflinked or
    copied instead of coming over the network.
    """
    from bakery.openstack.glance import download, handover
    from bakery.openstack.glance.images import Images

    stores = handover.stores(store_metadata) if store_metadata else ()
    images = Images.of_cloud(cloud)
    pulled = download.pull(images, name, directory, out.report, stores=stores, link=link)
    _show(out, pulled, name)


def _show(out: Output, pulled: "Pulled", name: str) -> None:
    build = pulled.build
    if not pulled.ways:
        out.print(f"{build.directory} is up to date: it already holds {name}")
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
