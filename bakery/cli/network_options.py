"""The options of a network that is not ours: who gives the nodes their addresses, and with what."""

import functools
import ipaddress
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import click

from bakery.cli.options import Output, say, several

if TYPE_CHECKING:
    from bakery.conductor.messages import Network
    from bakery.netboot.site_config import Site

OWN = "own"
Bios = Literal["pxelinux", "ipxe"]
Uefi = Literal["ipxe", "grub"]


class Address(click.ParamType):  # type: ignore[type-arg]
    """An IPv4 address."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it is usually written; wrong usage where it is none."""
        try:
            return str(ipaddress.IPv4Address(value))
        except ValueError:
            self.fail(f"{value!r} is not an IPv4 address.", param, ctx)


ADDRESS = Address()

_OPTIONS = several(
    click.option(
        "--dhcp",
        type=click.Choice([OWN, "proxy", "off"]),
        default=OWN,
        help="Who gives the nodes their addresses: bakery (own); the site's server, and bakery "
        "says what to boot (proxy); or the site's server says both (off, see bakery dhcp-config).",
    ),
    click.option(
        "--dhcp-range",
        "ranges",
        multiple=True,
        metavar="FIRST-LAST[/PREFIX]",
        help="Addresses to give out; repeat with a prefix for each network behind a relay.  "
        "[default: half of the interface's network]",
    ),
    click.option("--gateway", type=ADDRESS, metavar="ADDRESS", help="Router sent to nodes."),
    click.option(
        "--dns", multiple=True, type=ADDRESS, metavar="ADDRESS", help="DNS server sent to nodes."
    ),
    click.option(
        "--ntp", multiple=True, type=ADDRESS, metavar="ADDRESS", help="NTP server sent to nodes."
    ),
)


def on_a_network(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the network, as one `network`."""

    @functools.wraps(function)
    def command(
        *args: object,
        dhcp: Literal["own", "proxy", "off"],
        ranges: tuple[str, ...],
        gateway: str | None,
        dns: tuple[str, ...],
        ntp: tuple[str, ...],
        **options: object,
    ) -> object:
        from bakery.conductor.messages import Network
        from bakery.netboot.dhcp_probe import SECONDS

        if dhcp != OWN and (ranges or gateway or dns or ntp):
            raise click.UsageError(
                f"--dhcp-range, --gateway, --dns and --ntp go with --dhcp {OWN}: "
                "otherwise the site's server sets these"
            )
        network = Network(
            dhcp=dhcp, ranges=ranges, gateway=gateway or "", dns=dns, ntp=ntp, look_seconds=SECONDS
        )
        return function(*args, network=network, **options)

    wrapped: Callable[..., Any] = _OPTIONS(command)
    return wrapped


def is_asked_for(network: "Network") -> bool:
    """Whether anything of it is not as it is by default."""
    said = (network.ranges, network.gateway, network.dns, network.ntp)
    return network.dhcp != OWN or any(said)


def show_lines(out: Output, network: "Network", site: "Site") -> None:
    """With --dhcp off, say what the site's server needs to be told."""
    from bakery.netboot import site_config

    if network.dhcp != "off":
        return
    for program, title in site_config.TITLES.items():
        text = site_config.text(program, site)
        if out.json:
            out.report.note(f"{title}\n{text}", "dhcp")
        elif not out.quiet:
            for line in ("", f"# {title}", *text.splitlines()):
                say(line)


def site(address: str, bios: Bios, uefi: Uefi, macs: Sequence[str]) -> "Site":
    """What a site's server is told of a conductor at `address`; a prefix's length may follow."""
    from bakery.conductor.conductor import API_PORT
    from bakery.netboot.boot_programs import Chain
    from bakery.netboot.site_config import Site

    own = ipaddress.IPv4Interface(address).ip
    return Site(own, API_PORT, Chain(bios, uefi), tuple(macs))
