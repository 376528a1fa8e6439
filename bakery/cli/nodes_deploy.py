"""`bakery nodes deploy`, `undeploy` and `apply-image-args`: what an Ironic does with images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import CLOUD, EXISTING_FILE, Output, Seconds, output

if TYPE_CHECKING:
    from bakery.openstack.ironic.allocations import AllocationRequest
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.deploy import Sent
    from bakery.openstack.ironic.records import NodeThere
    from bakery.openstack.ironic.validate import Method

IMAGE = click.option(
    "--image", required=True, metavar="NAME", help="Name or ID of a published image."
)
TIMEOUT = click.option(
    "--timeout", type=Seconds(7 * 86400), default=3600.0, metavar="SECONDS",
    help="How long to wait for Ironic.",
)  # fmt: skip


@click.command(short_help="Deploy a published image onto nodes.")
@click.argument("names", nargs=-1, metavar="[NODE…]")
@IMAGE
@click.option(
    "--method",
    type=click.Choice(["direct", "ramdisk"]),
    help="The nodes' deploy interface.  [default: the one that the image needs]",
)
@click.option(
    "--config-drive",
    type=EXISTING_FILE,
    metavar="FILE",
    help="Image of a config drive for each node.",
)
@click.option("--resource-class", metavar="CLASS", help="Let Ironic choose nodes of this class.")
@click.option(
    "--trait", "traits", multiple=True, metavar="TRAIT",
    help="Choose only nodes with this trait (may be repeated).",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1, 1000), default=1, metavar="N",
    help="Number of nodes to choose.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name their allocations NAME-1, NAME-2 …")
@click.option("--undo", is_flag=True, help="When interrupted, undo the deploys just started.")
@CLOUD
@TIMEOUT
@output
def deploy(
    out: Output,
    names: tuple[str, ...],
    image: str,
    method: "Method | None",
    config_drive: Path | None,
    resource_class: str | None,
    traits: tuple[str, ...],
    count: int,
    name: str | None,
    cloud: str | None,
    timeout: float,
    *,
    undo: bool,
) -> int:
    """Deploy a published image onto NODE…, and wait until each is active.

    Ironic does the work. Each node gets the image together with the image's own kernel arguments;
    all nodes are checked before the first is touched. Name the nodes, or let Ironic choose them
    with --resource-class and --name. Ironic carries on when this command is interrupted, and the
    same command then follows it to the end.
    """
    from bakery.openstack.connection import connect
    from bakery.openstack.glance.find import published
    from bakery.openstack.glance.images import Images
    from bakery.openstack.ironic import allocations, validate
    from bakery.openstack.ironic import deploy as deploying
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.config_drive import packed

    request = _request(names, resource_class, traits, count, name)
    drive = packed(config_drive) if config_drive else ""
    connection = connect(cloud)
    images = Images(connection)
    found = published(images, image)
    ironic = Ironic(connection)
    chosen = validate.method_of(found, method)
    deploys = deploying.Deploys(ironic, found, chosen, drive, validate.glimpse(images, found))
    if request:
        nodes = allocations.allocated(
            ironic, request, lambda node: not deploys.problems(node), out.report, timeout
        )
    else:
        nodes = _named(ironic, names)
    deploys.check(nodes)
    out.report.note(f"{found.base.name} ({found.base.id}) by the deploy interface {chosen}")
    for caution in deploys.cautions(nodes):
        out.report.note(caution)
    try:
        sent = deploying.deploy(deploys, nodes, out.report, timeout)
    except KeyboardInterrupt:
        if not undo:
            out.report.note("Ironic carries on; to undo: bakery nodes undeploy")
            raise
        for one in deploys.take_back(out.report, timeout):
            out.report.note(f"{one.name}: {one.error or 'undone'}")
        raise
    return _told(out, sent)


def _request(
    names: Sequence[str],
    resource_class: str | None,
    traits: tuple[str, ...],
    count: int,
    name: str | None,
) -> "AllocationRequest | None":
    """What Ironic is asked to choose; None where the nodes are named."""
    from bakery.openstack.ironic.allocations import AllocationRequest

    if bool(names) == bool(resource_class):
        raise click.UsageError("name the nodes, or have Ironic choose them by --resource-class")
    if resource_class is None:
        if traits or name or count > 1:
            raise click.UsageError("--trait, --count and --name need a --resource-class")
        return None
    if not name:
        raise click.UsageError("--resource-class needs a --name, to find the same nodes again")
    return AllocationRequest(name, resource_class, traits, count)


def _told(out: Output, sent: Sequence["Sent"]) -> int:
    """Print how each deploy ended; the exit code."""
    for one in sent:
        out.print(f"{one.name}: {one.state}" + (f": {one.error}" if one.error else ""))
    out.document(sent)
    return 1 if any(one.error for one in sent) else 0


@click.command(short_help="Make deployed nodes available again.")
@click.argument("names", nargs=-1, required=True, metavar="NODE…")
@CLOUD
@TIMEOUT
@output
def undeploy(out: Output, names: tuple[str, ...], cloud: str | None, timeout: float) -> int:
    """Undeploy NODE…, and wait until each is available again."""
    from bakery.openstack.ironic import deploy as deploying
    from bakery.openstack.ironic.client import Ironic

    ironic = Ironic.of_cloud(cloud)
    nodes = _named(ironic, names)
    return _told(out, deploying.undeploy(ironic, nodes, out.report, timeout))


@click.command("apply-image-args", short_help="Set an image's kernel arguments on nodes.")
@click.argument("names", nargs=-1, required=True, metavar="NODE…")
@IMAGE
@CLOUD
@output
def apply_image_args(out: Output, names: tuple[str, ...], image: str, cloud: str | None) -> None:
    """Set the kernel arguments of an image on NODE…, for a network boot deployed by other tools.

    They go into the node's instance_info, which Ironic clears together with the instance.
    `bakery nodes deploy` does this by itself.
    """
    from bakery.openstack.connection import connect
    from bakery.openstack.glance.find import published
    from bakery.openstack.glance.images import Images
    from bakery.openstack.ironic import deploy as deploying
    from bakery.openstack.ironic.client import Ironic

    connection = connect(cloud)
    found = published(Images(connection), image)
    ironic = Ironic(connection)
    nodes = _named(ironic, names)
    changed = {node.label: deploying.give_arguments(ironic, found, node) for node in nodes}
    for name, new in changed.items():
        out.print(f"{name}: {'set' if new else 'already set'}")
    out.document([{"name": name, "changed": new} for name, new in changed.items()])


def _named(ironic: "Ironic", names: Sequence[str]) -> list["NodeThere"]:
    """The nodes of these names or uuids, each once."""
    return list({node.uuid: node for node in map(ironic.get, names)}.values())
