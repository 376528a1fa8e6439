"""`bakery params`: the kernel arguments of a build, ready to paste."""

from pathlib import Path

import click

from bakery.cli.options import Output, output

FORMS = ("ironic-conf", "node", "glance", "devstack", "pxelinux", "ipxe", "grub", "json")
FORMS_WITH_RELEASE = ("ironic-conf", "devstack")


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
    help="Ironic's release, for the option's name: juno … train, ussuri …, 2024.1 (today's).",
)
@click.option("--node", metavar="NODE", default="", help="The node's name or UUID (for: node).")
@output
def command(out: Output, directory: Path, form: str, release: str, node: str) -> None:
    """Print the kernel arguments of the build in DIR in the form a consumer takes.

    \b
    ironic-conf  the [pxe] section of ironic.conf
    node         the openstack command that sets them on one node
    glance       the openstack command that makes them a property of the image
    devstack     the section of devstack's local.conf
    pxelinux     a pxelinux configuration
    ipxe         an iPXE script
    grub         a menu entry for grub.cfg
    json         a document, with the arguments as a list
    """
    from bakery import manifest, params

    if release and form not in FORMS_WITH_RELEASE:
        raise click.UsageError(f"--release goes with --for {' and '.join(FORMS_WITH_RELEASE)}")
    if node and form != "node":
        raise click.UsageError("--node goes with --for node")
    build = manifest.load(directory).manifest
    request = params.Request(build, release, node or params.PLACEHOLDER_NODE)
    text = params.render(form, request)
    caution = params.caution(build)
    if caution:
        out.report.note(caution)
    out.print(text)
    out.document({"form": form, "text": text, **params.document(request)})
