"""`bakery params`: the kernel arguments of a build, ready to paste."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.releases import Boot, Deploy

FORMS = ("ironic-conf", "node", "glance", "devstack", "pxelinux", "ipxe", "grub", "json")
FORMS_OF_IRONIC = ("ironic-conf", "devstack", "node")
# bakery.releases has the same; it is loaded only to do the work.
BOOTS = ("pxe", "redfish-virtual-media", "ilo-virtual-media", "irmc-virtual-media")
DEPLOYS = ("netboot", "ramdisk")


@click.command("params", short_help="A build's kernel arguments, for who wants them.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "form",
    type=click.Choice(FORMS),
    required=True,
    help="Who is to take the arguments.",
)
@click.option(
    "--release",
    metavar="NAME",
    default="",
    help="Ironic's release: juno … zed, 2023.1 … (the newest).",
)
@click.option(
    "--boot",
    type=click.Choice(BOOTS),
    default=None,
    help="The nodes' boot interface (pxe, which is ipxe too).",
)
@click.option(
    "--deploy",
    type=click.Choice(DEPLOYS),
    default=None,
    help="Partition image by network boot, or the ramdisk interface (netboot up to yoga).",
)
@click.option("--node", metavar="NODE", default="", help="The node's name or UUID (for: node).")
@output
def command(
    out: Output,
    directory: Path,
    form: str,
    release: str,
    boot: "Boot | None",
    deploy: "Deploy | None",
    node: str,
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
    from bakery import manifest, params

    if (release or boot or deploy) and form not in FORMS_OF_IRONIC:
        raise click.UsageError(
            f"--release, --boot and --deploy go with --for {', '.join(FORMS_OF_IRONIC)}"
        )
    if node and form != "node":
        raise click.UsageError("--node goes with --for node")
    build = manifest.load(directory).manifest
    request = params.Request(build, release, boot or "pxe", deploy, node or params.PLACEHOLDER_NODE)
    text = params.render(form, request)
    for caution in params.cautions(form, request):
        out.report.note(caution)
    out.print(text)
    out.document({"form": form, "text": text, **params.document(request)})
