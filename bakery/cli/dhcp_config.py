"""`bakery dhcp-config`: what a site's DHCP server needs to be told."""

from typing import Literal

import click

from bakery.cli.network_options import ADDRESS, Bios, Uefi, site
from bakery.cli.options import Output, output

MOST_NODES = 4096


@click.command("dhcp-config", short_help="Print the lines that point a DHCP server at bakery.")
@click.option(
    "--for",
    "program",
    type=click.Choice(["dnsmasq", "isc", "kea"]),
    required=True,
    help="The site's DHCP server.",
)
@click.option(
    "--address",
    type=ADDRESS,
    required=True,
    metavar="ADDRESS",
    help="This machine's address on the nodes' network.",
)
@click.option(
    "--mac",
    "macs",
    multiple=True,
    metavar="MAC",
    help="A node; repeatable. Only these are sent here.  [default: all that network-boot]",
)
@click.option(
    "--bios",
    type=click.Choice(["pxelinux", "ipxe"]),
    default="pxelinux",
    help="Network boot loader for BIOS nodes, as for bakery deploy.",
)
@click.option(
    "--uefi",
    type=click.Choice(["ipxe", "grub"]),
    default="ipxe",
    help="Network boot loader for UEFI nodes, as for bakery deploy.",
)
@output
def command(
    out: Output,
    program: Literal["dnsmasq", "isc", "kea"],
    address: str,
    macs: tuple[str, ...],
    bios: Bios,
    uefi: Uefi,
) -> int:
    """Print the lines that have a site's DHCP server send nodes to bakery.

    They go with `bakery deploy --dhcp off`, which prints them for its nodes as well. With --json:
    `for`, and the lines as one `text`.
    """
    from bakery.netboot import site_config

    if len(macs) > MOST_NODES:
        raise click.UsageError(f"at most {MOST_NODES} nodes are named at once")
    nodes = dict.fromkeys(mac.lower().replace("-", ":") for mac in macs)
    text = site_config.text(program, site(address, bios, uefi, tuple(nodes)))
    out.document({"for": program, "text": text})
    out.text(text.rstrip("\n"))
    return 0
