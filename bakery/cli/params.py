"""`bakery params`: the kernel arguments of a build, ready to paste."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import BUILD, Output, output

if TYPE_CHECKING:
    from bakery.openstack.ironic.releases import Boot, Deploy

FORMS = ("ironic-conf", "node", "glance", "devstack", "pxelinux", "ipxe", "grub", "json")
# params.py and releases.py of bakery.openstack.ironic have the same; they are loaded only to do the
# work.
FORMS_OF_IRONIC = ("ironic-conf", "devstack", "node")
BOOTS = ("pxe", "redfish-virtual-media", "ilo-virtual-media", "irmc-virtual-media")
DEPLOYS = ("netboot", "ramdisk")


@click.command("params", short_help="Print a build's kernel arguments for Ironic, PXE and others.")
@BUILD
@click.option(
    "--for", "form", type=click.Choice(FORMS), required=True, help="Consumer of the arguments."
)
@click.option(
    "--release",
    metavar="NAME",
    help="Ironic's release: juno … zed, 2023.1 … (the newest).",
)
@click.option(
    "--boot",
    type=click.Choice(BOOTS),
    help="The nodes' boot interface (pxe includes ipxe).",
)
@click.option(
    "--deploy",
    type=click.Choice(DEPLOYS),
    help="Partition image by network boot, or the ramdisk interface (netboot up to yoga).",
)
@click.option("--node", metavar="NODE", help="The node's name or UUID (for: node).")
@output
def command(
    out: Output,
    directory: Path,
    form: str,
    release: str | None,
    boot: "Boot | None",
    deploy: "Deploy | None",
    node: str | None,
) -> None:
    """Print the kernel arguments of the build in DIR in the form a consumer takes.

    \b
    ironic-conf  the section of ironic.conf
    node         the openstack command that sets them on one node
    glance       the openstack command that makes them a property of the image
    devstack     the section of devstack's local.conf
    pxelinux     a pxelinux configuration
    ipxe         an iPXE script
    grub         a menu entry for grub.cfg
    json         a document, with the arguments as a list
    """
    from bakery.manifest import manifest
    from bakery.openstack.ironic import params

    if (release or boot or deploy) and form not in FORMS_OF_IRONIC:
        raise click.UsageError(
            f"--release, --boot and --deploy go with --for {', '.join(FORMS_OF_IRONIC)}"
        )
    if node and form != "node":
        raise click.UsageError("--node goes with --for node")
    build = manifest.load(directory).manifest
    name = node or params.PLACEHOLDER_NODE
    request = params.Request(build, release or "", boot or "pxe", deploy, name)
    text = params.render(form, request)
    for caution in params.cautions(form, request):
        out.report.note(caution)
    out.text(text)
    told = params.document(request) | params.background(form, request)
    out.document({"form": form, "text": text, **told})
