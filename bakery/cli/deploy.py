"""`bakery deploy`: from power-on to login."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bakery.cli import deploy_ironic
from bakery.cli.lab_nodes import in_folder, lab_folder
from bakery.cli.options import CLOUD, Output, output

if TYPE_CHECKING:
    from bakery.deploy.allocating import Wish
    from bakery.deploy.order import NodeSpec, Outcome
    from bakery.lab.state import Lab

MIB_LIMIT = 1 << 21
LAB_ALONE = (
    *("multicast", "ramdisk", "bios", "uefi", "root_device", "swap", "ephemeral", "attempts"),
    "folder",
)
TOLD_IRONIC = ("cloud", "timeout", "undo")
IRONIC_ALONE = (*TOLD_IRONIC, "resource_class", "traits", "count", "name")


@click.command("deploy", short_help="Write a build onto nodes, to login.")
@click.argument("names", nargs=-1, metavar="[NODE…]")
@click.option(
    "--image",
    required=True,
    metavar="DIR|NAME",
    help="The folder of a build; with --via ironic the name or id of a published one.",
)
@click.option(
    "--method",
    type=click.Choice(["iscsi", "direct", "ramdisk"]),
    help="Who writes the disk: the conductor, over iSCSI, or the node itself, or (Ironic) nobody.  "
    "[default: iscsi; Ironic: as the image has it]",
)
@click.option(
    "--multicast/--no-multicast",
    default=True,
    show_default=True,
    help="With the direct method, send the image once to several nodes.",
)
@click.option(
    "--via",
    type=click.Choice(["lab", "ironic"]),
    default="lab",
    show_default=True,
    help="Whose nodes, and who does the work.",
)
@CLOUD
@click.option(
    "--timeout",
    type=click.FloatRange(1, 7 * 86400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for Ironic.",
)
@click.option("--resource-class", metavar="CLASS", help="Have Ironic choose nodes of this class.")
@click.option("--trait", "traits", multiple=True, help="That have this trait (may be repeated).")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="So many of them.",
)
@click.option("--name", metavar="NAME", help="What they are known by to Ironic: NAME-1, NAME-2 …")
@click.option("--undo", is_flag=True, help="Have Ironic take back what an interrupt ends.")
@click.option(
    "--ramdisk",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Deploy kernel and ramdisk.  [default: made once, kept in ~/.cache/bakery]",
)
@click.option(
    "--bios",
    type=click.Choice(["pxelinux", "ipxe"]),
    default="pxelinux",
    show_default=True,
    help="What a node's BIOS loads.",
)
@click.option(
    "--uefi",
    type=click.Choice(["ipxe", "grub"]),
    default="ipxe",
    show_default=True,
    help="What a node's UEFI firmware loads.",
)
@click.option(
    "--root-device",
    default="",
    metavar="HINTS",
    help="Which disk, in Ironic's words: 'size=>= 100,rotational=false'.",
)
@click.option(
    "--swap",
    type=click.IntRange(0, MIB_LIMIT),
    default=0,
    metavar="MIB",
    help="Size of a swap partition.",
)
@click.option(
    "--ephemeral",
    type=click.IntRange(0, MIB_LIMIT),
    default=0,
    metavar="MIB",
    help="Size of an ephemeral partition, ext4.",
)
@click.option(
    "--config-drive",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="An ISO image, or the like, for a partition of its own.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="How often a node is tried.",
)
@in_folder
@output
@click.pass_context
def command(context: click.Context, out: Output, /, **options: Any) -> int:  # noqa: ANN401
    """Deploy an image onto NODE… and wait until it is there.

    In a lab each node is started over the network, its disk written and read back, and the node
    let go to what was written: exit code 0 means that every node reached its login prompt. With
    --via ironic an Ironic does it: each node is told what it gets, the image's kernel arguments
    with it, and followed until it is active. A deploy that was interrupted, or killed, goes on
    when the same command is given again.
    """
    via = options.pop("via")
    _refuse_others(context, via)
    chosen = via == "ironic" and options["resource_class"]
    if bool(options["names"]) == bool(chosen):
        raise click.UsageError("name the nodes, or with --via ironic a --resource-class")
    if via == "ironic":
        return deploy_ironic.carry_out(
            out,
            wish=_wish(options) if chosen else None,
            **{
                name: options[name]
                for name in ("names", "image", "method", "config_drive", *TOLD_IRONIC)
            },
        )
    for name in IRONIC_ALONE:
        del options[name]
    return _in_lab(out, **options)


def _wish(options: dict[str, Any]) -> "Wish":
    """Which nodes Ironic shall choose."""
    from bakery.deploy.allocating import Wish

    if not options["name"]:
        raise click.UsageError("--resource-class needs a --name, by which they are found again")
    return Wish(options["name"], options["resource_class"], options["traits"], options["count"])


def _refuse_others(context: click.Context, via: str) -> None:
    """An option that the other way alone has would be without effect."""
    others = LAB_ALONE if via == "ironic" else IRONIC_ALONE
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in others and source == click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} does not go with --via {via}")


def _in_lab(
    out: Output,
    names: tuple[str, ...],
    image: str,
    method: Literal["iscsi", "direct", "ramdisk"] | None,
    multicast: bool,  # noqa: FBT001 - click hands options over by name
    ramdisk: Path | None,
    bios: Literal["pxelinux", "ipxe"],
    uefi: Literal["ipxe", "grub"],
    root_device: str,
    swap: int,
    ephemeral: int,
    config_drive: Path | None,
    attempts: int,
    folder: Path | None,
) -> int:
    from bakery import manifest
    from bakery.deploy.launch import carry_out, deploy_ramdisk
    from bakery.deploy.order import Order
    from bakery.lab import state
    from bakery.lab.cache import default_cache

    if method == "ramdisk":
        raise click.UsageError("--method ramdisk does not go with --via lab")
    place = lab_folder(folder)
    lab = state.load(place)
    order = Order(
        nodes=_specs(lab, names),
        build=str(manifest.load(Path(image).absolute()).directory),
        ramdisk=str(ramdisk.absolute() if ramdisk else deploy_ramdisk(default_cache(), out.report)),
        interface=lab.interface,
        address=lab.address,
        state=str(place.with_name(f"{place.name}-deploys")),
        method=method or "iscsi",
        multicast=multicast,
        bios=bios,
        uefi=uefi,
        root_device=root_device,
        swap_mib=swap,
        ephemeral_mib=ephemeral,
        config_drive=str(config_drive.absolute()) if config_drive else "",
        attempts=attempts,
    )
    outcomes = carry_out(order, lab.enter, out.report)
    out.document(outcomes)
    for outcome in outcomes:
        out.print(_line(outcome))
    return 0 if all(outcome.state == "running" for outcome in outcomes) else 1


def _specs(lab: "Lab", names: tuple[str, ...]) -> tuple["NodeSpec", ...]:
    """The named nodes, each once."""
    from uuid import UUID

    from bakery.deploy.order import BmcAccess, NodeSpec

    found = {node.name: node for node in map(lab.node, names)}
    return tuple(
        NodeSpec(
            node.name,
            UUID(node.uuid),
            node.mac,
            BmcAccess(node.bmc.address, node.bmc.port, node.bmc.username, node.bmc.password),
            node.console,
        )
        for node in found.values()
    )


def _line(outcome: "Outcome") -> str:
    tries = "" if outcome.attempts == 1 else f", try {outcome.attempts}"
    seconds = outcome.visits[-1].at - outcome.visits[0].at
    reason = f": {outcome.reason}" if outcome.state == "failed" else ""
    return f"{outcome.name}: {outcome.state} ({seconds:.0f} s{tries}){reason}"
