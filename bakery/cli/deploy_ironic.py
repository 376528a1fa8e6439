"""`bakery deploy --via ironic` and `bakery nodes undeploy`: an Ironic does the work."""

import base64
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from bakery.cli.options import CLOUD, Output, output
from bakery.cli.table import clean
from bakery.errors import BakeryError, UsageError

if TYPE_CHECKING:
    from bakery.cloud.ironic import Ironic
    from bakery.deploy.allocating import Wish
    from bakery.deploy.via_ironic import Sent
    from bakery.fleet.records import NodeThere

# The agent's partition for one (ironic_python_agent, partition_utils.MAX_CONFIG_DRIVE_SIZE_MB).
CONFIG_DRIVE_LIMIT_BYTES = 64 << 20


def carry_out(
    out: Output,
    names: Sequence[str],
    image: str,
    method: Literal["iscsi", "direct", "ramdisk"] | None,
    cloud: str | None,
    timeout: float,
    config_drive: Path | None,
    wish: "Wish | None",
    *,
    undo: bool,
) -> int:
    """Check everything, tell Ironic, follow; the exit code. The nodes are named or wished for."""
    from bakery.cloud.connection import connect
    from bakery.cloud.find import published
    from bakery.cloud.images import Images
    from bakery.cloud.ironic import Ironic
    from bakery.deploy import allocating, fits, via_ironic

    if method == "iscsi":
        raise UsageError("Ironic has no deploy interface 'iscsi' any more", "--method direct")
    drive = _packed(config_drive) if config_drive else ""
    connection = connect(cloud)
    images = Images(connection)
    found = published(images, image)
    ironic = Ironic(connection)
    chosen = fits.method_of(found, method)
    deploys = via_ironic.Deploys(ironic, found, chosen, drive, fits.glimpse(images, found))
    if wish:
        nodes = allocating.allocated(
            ironic, wish, lambda node: not deploys.problems(node), out.report, timeout
        )
    else:
        nodes = _named(ironic, names)
    deploys.check(nodes)
    out.report.note(f"{found.base.name} ({found.base.id}) by the deploy interface {chosen}")
    for caution in deploys.cautions(nodes):
        out.report.note(caution)
    try:
        sent = via_ironic.deploy(deploys, nodes, out.report, timeout)
    except KeyboardInterrupt:
        if not undo:
            out.report.note("Ironic goes on; bakery nodes undeploy takes it back")
            raise
        for one in deploys.take_back(out.report, timeout):
            out.report.note(f"{one.name}: {one.error or 'taken back'}")
        raise
    return told(out, sent)


def told(out: Output, sent: Sequence["Sent"]) -> int:
    """Print how each ended; the exit code."""
    for one in sent:
        out.print(clean(f"{one.name}: {one.state}" + (f": {one.error}" if one.error else "")))
    out.document(sent)
    return 1 if any(one.error for one in sent) else 0


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NODE…")
@CLOUD
@click.option(
    "--timeout", type=click.FloatRange(1, 7 * 86400), default=3600.0, show_default=True,
    metavar="SECONDS", help="How long to wait for Ironic.",
)  # fmt: skip
@output
def undeploy(out: Output, names: tuple[str, ...], cloud: str | None, timeout: float) -> int:
    """Take away what is deployed on NODE…, and wait until each is available again."""
    from bakery.cloud.ironic import Ironic
    from bakery.deploy import via_ironic

    ironic = Ironic.of_cloud(cloud)
    nodes = _named(ironic, names)
    return told(out, via_ironic.undeploy(ironic, nodes, out.report, timeout))


@click.command("apply-image-args")
@click.argument("names", nargs=-1, required=True, metavar="NODE…")
@click.option("--image", required=True, metavar="NAME", help="Name or id of a published image.")
@CLOUD
@output
def apply_image_args(out: Output, names: tuple[str, ...], image: str, cloud: str | None) -> None:
    """Give NODE… the kernel arguments of an image, for another's deploy by the network.

    They become the node's instance_info.kernel_append_params, which Ironic forgets with the
    instance. bakery deploy --via ironic does this by itself.
    """
    from bakery.cloud.connection import connect
    from bakery.cloud.find import published
    from bakery.cloud.images import Images
    from bakery.cloud.ironic import Ironic
    from bakery.deploy import via_ironic

    connection = connect(cloud)
    found = published(Images(connection), image)
    ironic = Ironic(connection)
    nodes = _named(ironic, names)
    given = {node.label: via_ironic.give_arguments(ironic, found, node) for node in nodes}
    for name, new in given.items():
        out.print(clean(f"{name}: {'given' if new else 'has them already'}"))
    out.document([{"name": name, "changed": new} for name, new in given.items()])


def _named(ironic: "Ironic", names: Sequence[str]) -> list["NodeThere"]:
    """The nodes of these names or uuids, each once."""
    return list({node.uuid: node for node in map(ironic.get, names)}.values())


def _packed(path: Path) -> str:
    """A config drive as Ironic takes it (Bare Metal API, node provision: `configdrive`)."""
    with path.open("rb") as file:
        content = file.read(CONFIG_DRIVE_LIMIT_BYTES + 1)
    if len(content) > CONFIG_DRIVE_LIMIT_BYTES:
        raise BakeryError(f"{path} is larger than a config drive may be, 64 MiB")
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
