"""`bakery deploy`: from power-on to login."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bakery.cli import nodes_deploy
from bakery.cli.lab_nodes import in_folder, lab_folder
from bakery.cli.network_options import on_a_network, show_lines, site
from bakery.cli.options import EXISTING_FILE, EXISTING_FOLDER, PATH, Output, output, say
from bakery.host.errors import BakeryError

if TYPE_CHECKING:
    from bakery.bmc.ipmi_worker import Power
    from bakery.conductor.messages import Network, NodeSpec, Result
    from bakery.conductor.standing import PowerOf
    from bakery.lab.state import Lab

MIB_LIMIT = 1 << 21


class Deploy(click.Command):
    """Tells whoever brings the options of an Ironic's deploys where these are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            theirs = {name for option in nodes_deploy.deploy.params for name in option.opts}
            if error.option_name not in {"--via", *theirs}:
                raise
            message = (
                f"{error.message.rstrip('.')}. For an Ironic's nodes, use 'bakery nodes deploy'."
            )
            raise click.UsageError(message, ctx) from None


@click.command("deploy", cls=Deploy, short_help="Deploy a build onto nodes, up to the login.")
@click.argument("names", nargs=-1, required=True, metavar="NODE…")
@click.option("--image", required=True, type=PATH, metavar="DIR", help="Folder of the build.")
@click.option(
    "--method",
    type=click.Choice(["iscsi", "direct"]),
    default="iscsi",
    help="Who writes the disk: the conductor, over iSCSI, or the node itself.",
)
@click.option(
    "--multicast/--no-multicast",
    default=True,
    help="With --method direct, send the image to several nodes at once.",
)
@click.option(
    "--ramdisk",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Deploy kernel and ramdisk.  [default: made once, kept in ~/.cache/bakery]",
)
@click.option(
    "--bios",
    type=click.Choice(["pxelinux", "ipxe"]),
    default="pxelinux",
    help="Network boot loader for BIOS nodes.",
)
@click.option(
    "--uefi",
    type=click.Choice(["ipxe", "grub"]),
    default="ipxe",
    help="Network boot loader for UEFI nodes.",
)
@click.option(
    "--root-device",
    metavar="HINTS",
    help="Which disk to write, by Ironic's hints: 'size=>= 100,rotational=false'.",
)
@click.option(
    "--swap",
    "swap_mib",
    type=click.IntRange(0, MIB_LIMIT),
    default=0,
    metavar="MIB",
    help="Add a swap partition of this size.",
)
@click.option(
    "--ephemeral",
    "ephemeral_mib",
    type=click.IntRange(0, MIB_LIMIT),
    default=0,
    metavar="MIB",
    help="Add an ephemeral partition of this size, ext4.",
)
@click.option(
    "--config-drive",
    type=EXISTING_FILE,
    metavar="FILE",
    help="Image of a config drive, which gets a partition of its own.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 20),
    default=3,
    metavar="N",
    help="Number of attempts per node.",
)
@click.option(
    "--unconfined",
    is_flag=True,
    help="Speak iSCSI with the nodes even where that cannot be confined.",
)
@click.option("--again", is_flag=True, help="Write nodes that already run this build, too.")
@click.option("--yes", is_flag=True, help="Overwrite running nodes without asking.")
@on_a_network
@in_folder
@output
def command(
    out: Output,
    names: tuple[str, ...],
    image: Path,
    method: Literal["iscsi", "direct"],
    multicast: bool,  # noqa: FBT001 - click hands options over by name
    ramdisk: Path | None,
    bios: Literal["pxelinux", "ipxe"],
    uefi: Literal["ipxe", "grub"],
    root_device: str | None,
    swap_mib: int,
    ephemeral_mib: int,
    config_drive: Path | None,
    attempts: int,
    unconfined: bool,  # noqa: FBT001
    again: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    network: "Network",
    folder: Path | None,
) -> int:
    """Deploy a build onto NODE…, from power-on to the login prompt.

    Each node boots a ramdisk over the network, its disk is written and read back, and the node is
    restarted into what was written. Exit code 0 means that every node reached its login prompt. A
    deploy that was interrupted or killed continues when the same command is given again. A node
    that already runs the build is left alone; you are asked before any other running node is
    overwritten.

    For the nodes of an OpenStack Ironic, see `bakery nodes deploy`.
    """
    import msgspec

    from bakery.conductor import standing
    from bakery.conductor.launch import deploy_ramdisk, run
    from bakery.conductor.messages import Request
    from bakery.conductor.partition import Extras
    from bakery.conductor.wanted import wanted
    from bakery.lab import state
    from bakery.manifest import manifest
    from bakery.samples.cache import default_cache

    place = lab_folder(folder)
    lab = state.load(place)
    build = manifest.load(image.absolute())
    drive = config_drive.absolute() if config_drive else None
    asked = wanted(build, Extras(ephemeral_mib, swap_mib, drive), root_device or "")
    journals = place.with_name(f"{place.name}-deploys")
    nodes = _specs(lab, names)
    found = standing.look(nodes, asked, journals, _power_of(lab), again=again)
    _agree(out, [standing.loss(record, asked) for record in found.losses], yes=yes)
    if not found.todo:
        return _told(out, nodes, found.results())
    show_lines(out, network, site(lab.address, bios, uefi, [node.mac for node in found.todo]))
    request = Request(
        nodes=found.todo,
        build=str(build.directory),
        ramdisk=str(ramdisk.absolute() if ramdisk else deploy_ramdisk(default_cache(), out.report)),
        interface=lab.interface,
        address=lab.address,
        state=str(journals),
        # A lab's network has nobody else on it.
        network=msgspec.structs.replace(network, look_seconds=0.0),
        method=method,
        multicast=multicast,
        bios=bios,
        uefi=uefi,
        root_device=asked.root_device,
        swap_mib=swap_mib,
        ephemeral_mib=ephemeral_mib,
        config_drive=str(drive or ""),
        attempts=attempts,
        unconfined=unconfined,
    )
    done = run(request, lab.enter, out.report)
    return _told(out, nodes, (*found.results(), *done))


def somebody_is_here() -> bool:
    """Whether there is a terminal to ask at."""
    return sys.stdin.isatty()


def _agree(out: Output, losses: list[str], *, yes: bool) -> None:
    """Have somebody agree to what would be lost; BakeryError where nobody does."""
    if not losses or yes:
        for loss in losses:
            out.report.note(f"{loss}, and is overwritten")
        return
    if out.json or not somebody_is_here():
        raise BakeryError(f"{'; '.join(losses)}: that would be lost", "to overwrite it: --yes")
    for loss in losses:
        say(loss)
    if not out.confirm("Overwrite what is there?"):
        raise BakeryError("nothing was done")


def _power_of(lab: "Lab") -> "PowerOf":
    from bakery.bmc.ipmi import Bmc

    def power_of(spec: "NodeSpec") -> "Power":
        bmc = spec.bmc
        return Bmc(bmc.address, bmc.port, bmc.username, bmc.password, enter=lab.enter).power()

    return power_of


def _told(out: Output, nodes: Sequence["NodeSpec"], results: Sequence["Result"]) -> int:
    """Answer with how each node ended, in the order they were named in."""
    by_node = {result.uuid: result for result in results}
    ordered = [by_node[spec.uuid] for spec in nodes]
    out.document(ordered)
    for result in ordered:
        out.print(_line(result))
    return 0 if all(result.state == "running" for result in ordered) else 1


def _specs(lab: "Lab", names: tuple[str, ...]) -> tuple["NodeSpec", ...]:
    """The named nodes, each once."""
    from uuid import UUID

    from bakery.conductor.messages import BmcAccess, NodeSpec

    found = {node.name: node for node in map(lab.node, names)}
    return tuple(
        NodeSpec(
            node.name,
            UUID(node.uuid),
            node.mac,
            BmcAccess(node.bmc.address, node.bmc.port, node.bmc.username, node.bmc.password),
            node.console,
            processor=node.processor,
            firmware=node.firmware,
        )
        for node in found.values()
    )


def _line(result: "Result") -> str:
    if result.left_alone:
        return f"{result.name}: runs this build already"
    tries = "" if result.attempts == 1 else f", try {result.attempts}"
    seconds = result.visits[-1].at - result.visits[0].at
    reason = f": {result.reason}" if result.state == "failed" else ""
    return f"{result.name}: {result.state} ({seconds:.0f} s{tries}){reason}"
