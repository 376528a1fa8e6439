"""`bakery deploy`: from power-on to login."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bakery.cli import deploy_status, nodes_deploy, nodes_problems
from bakery.cli.deploy_place import Place, in_a_place
from bakery.cli.media_options import by_media
from bakery.cli.network_options import is_asked_for, on_a_network, show_lines
from bakery.cli.network_options import site as boot_site
from bakery.cli.options import EXISTING_FILE, EXISTING_FOLDER, PATH, Output, output, say
from bakery.host.errors import BakeryError

if TYPE_CHECKING:
    from bakery.conductor.messages import Media, Network, NodeSpec, Result, Until

MIB_LIMIT = 1 << 21
RACK_RAMDISK_SECONDS = 1200.0
"""From power-on to the report of the ramdisk: a server's firmware takes minutes for itself."""
SIGNS = {
    "login": "its login prompt",
    "ssh": "its ssh banner",
    "ping": "answers to ping",
    "written": "its verified disk",
}


class Deploy(click.Command):
    """Has `status` and `log` as first word mean something else than a node.

    Tells whoever brings the options of an Ironic's deploys where these are.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - as click has it
    ) -> click.Context:
        """As click does it, of the command that the first word names."""
        other = deploy_status.COMMANDS.get(args[0]) if args else None
        if other is None:
            return super().make_context(info_name, args, parent, **extra)
        try:
            return other.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        except click.NoSuchOption as error:
            message = (
                f"{error.message.rstrip('.')}. To deploy a node called '{args[0]}', name it after "
                "the options."
            )
            raise click.UsageError(message, error.ctx) from None

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
@click.argument("names", nargs=-1, metavar="NODE…")
@click.option("--image", required=True, type=PATH, metavar="DIR", help="Folder of the build.")
@click.option(
    "--until",
    type=click.Choice(["any", "login", "ssh", "ping", "written"]),
    default="any",
    help="When a node counts as done; any: by the best sign that can be seen.",
)
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
    help="Run the iSCSI client even if it cannot be sandboxed.",
)
@click.option("--again", is_flag=True, help="Also rewrite nodes that already run this build.")
@click.option("--yes", is_flag=True, help="Overwrite running nodes without asking.")
@by_media
@on_a_network
@in_a_place
@output
def command(
    out: Output,
    names: tuple[str, ...],
    image: Path,
    until: "Until",
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
    media: "Media | None",
    network: "Network",
    place: Place,
) -> int:
    """Deploy a build onto NODE…, from power-on to the login prompt.

    Each node boots a ramdisk over the network, or with --boot media from its BMC's virtual drive;
    its disk is written and read back, and the node is restarted into what was written. Exit code 0
    means that every node runs it, by the sign that is told. A deploy that was interrupted or
    killed continues when the same command is given again. A node that already runs the build is
    left alone; you are asked before any other running node is overwritten.

    The nodes are those of a lab, or with --nodes and --interface those of a rack: then NODE may be
    a pattern ('r1-*'). `bakery deploy status` and `bakery deploy log NODE` tell what was done; a
    node called `status` or `log` has to be named after the options.

    For the nodes of an OpenStack Ironic, see `bakery nodes deploy`.
    """
    import msgspec

    from bakery.conductor import interface, standing
    from bakery.conductor.launch import deploy_ramdisk, run
    from bakery.conductor.media import refuse_layout
    from bakery.conductor.messages import Request
    from bakery.conductor.partition import Extras
    from bakery.conductor.rack_site import Wrong
    from bakery.conductor.wanted import wanted
    from bakery.manifest import manifest
    from bakery.samples.cache import default_cache

    try:
        site = place.site(names, until, by_media=media is not None).hinted(root_device or "")
    except Wrong as wrong:
        return nodes_problems.refused(out, wrong.file, wrong.fleet, "nothing was done")
    build = manifest.load(image.absolute())
    if media and is_asked_for(network):
        raise click.UsageError("--dhcp and what goes with it are for nodes that network-boot")
    if media:
        refuse_layout(build.manifest.layout)
    if until == "written" and build.manifest.layout != "disk":
        raise BakeryError(
            f"a node of layout {build.manifest.layout} boots over the network, from this command: "
            "it cannot end before the node runs",
            "--until ssh or ping, or a build of layout disk",
        )
    drive = config_drive.absolute() if config_drive else None
    asked = wanted(build, Extras(ephemeral_mib, swap_mib, drive))
    found = standing.look(
        *(site.nodes, asked, site.journals, site.power_of),
        again=again,
        is_real=site.is_real,
        until=until,
    )
    if found.todo and site.is_real and media is None:
        interface.check_privileges()
    hints = {spec.uuid: spec.root_device for spec in site.nodes}
    losses = [standing.loss(record, asked.on(hints[record.node])) for record in found.losses]
    _agree(out, [*losses, *map(standing.strangers_loss, found.strangers)], yes=yes)
    if not found.todo:
        return _told(out, site.nodes, found.results())
    macs = [mac for node in found.todo for mac in node.macs]
    show_lines(out, network, boot_site(site.address, bios, uefi, macs))
    request = Request(
        nodes=found.todo,
        build=str(build.directory),
        ramdisk=str(ramdisk.absolute() if ramdisk else deploy_ramdisk(default_cache(), out.report)),
        interface=site.interface,
        address=site.address,
        state=str(site.journals),
        # A lab's network has nobody else on it.
        network=network if site.is_real else msgspec.structs.replace(network, look_seconds=0.0),
        method=method,
        multicast=multicast,
        bios=bios,
        uefi=uefi,
        media=media,
        swap_mib=swap_mib,
        ephemeral_mib=ephemeral_mib,
        config_drive=str(drive or ""),
        attempts=attempts,
        unconfined=unconfined,
        until=until,
        neighbours=site.neighbours,
    )
    if site.is_real:
        request = msgspec.structs.replace(request, ramdisk_seconds=RACK_RAMDISK_SECONDS)
    done = run(request, site.enter, out.report)
    return _told(out, site.nodes, (*found.results(), *done))


def somebody_is_here() -> bool:
    """Whether there is a terminal to ask at."""
    return sys.stdin.isatty()


def _agree(out: Output, losses: list[str], *, yes: bool) -> None:
    """Have somebody agree to what would be lost; BakeryError where nobody does."""
    if not losses or yes:
        for loss in losses:
            out.report.note(f"{loss}; it will be overwritten")
        return
    if out.json or not somebody_is_here():
        raise BakeryError(f"{'; '.join(losses)}: that would be lost", "to overwrite it: --yes")
    for loss in losses:
        say(loss)
    if not out.confirm("Overwrite what is there?"):
        raise BakeryError("nothing was done")


def _told(out: Output, nodes: Sequence["NodeSpec"], results: Sequence["Result"]) -> int:
    """Answer with how each node ended, in the order they were named in."""
    by_node = {result.uuid: result for result in results}
    ordered = [by_node[spec.uuid] for spec in nodes]
    out.document(ordered)
    for result in ordered:
        out.print(_line(result))
    return 0 if all(result.state == "running" for result in ordered) else 1


def _line(result: "Result") -> str:
    sign = f", by {SIGNS[result.sign]}" if result.sign else ""
    if result.left_alone:
        return f"{result.name}: already runs this build{sign}"
    tries = "" if result.attempts == 1 else f", try {result.attempts}"
    seconds = result.visits[-1].at - result.visits[0].at
    reason = f": {result.reason}" if result.state == "failed" else ""
    return f"{result.name}: {result.state} ({seconds:.0f} s{tries}{sign}){reason}"
