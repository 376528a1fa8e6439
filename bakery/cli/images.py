"""`bakery images` and `bakery images prune`."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bakery.cli import table
from bakery.cli.options import CLOUD, Output, output
from bakery.host.errors import UsageError

if TYPE_CHECKING:
    from bakery.openstack.glance.health import ImageHealth
    from bakery.openstack.glance.prune import Unused

SHORT_ID = 8
OLDEST_HOURS = 24 * 3650


@click.group(
    "images", short_help="List what is published, and its health.", invoke_without_command=True
)
@CLOUD
@click.pass_context
@output
def command(out: Output, context: click.Context, cloud: str | None) -> None:
    """List the images that bakery published, with their links and health.

    `bakery images prune` removes what nothing refers to.
    """
    if context.invoked_subcommand is not None:
        return
    from bakery.openstack.glance import health
    from bakery.openstack.glance.images import Images

    found = health.entries(Images.of_cloud(cloud))
    if found:
        out.text(_table(found))
    else:
        out.print("nothing has been published here")
    for entry in found:
        for problem in entry.problems:
            out.print(f"{entry.name} ({entry.id}): {problem}")
    out.document(found)


@command.command()
@CLOUD
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--hidden", is_flag=True, help="Also remove bases that another one replaced.")
@click.option(
    "--older-than",
    type=click.IntRange(0, OLDEST_HOURS),
    default=1,
    metavar="HOURS",
    help="Keep images changed more recently: an upload may be in progress.",
)
@click.pass_context
@output
def prune(
    out: Output,
    context: click.Context,
    cloud: str | None,
    older_than: int,
    *,
    yes: bool,
    hidden: bool,
) -> None:
    """List what nothing refers to, and remove it.

    That is kernels and ramdisks that no base links to, and failed uploads. Whatever an image not
    made by bakery refers to is kept. With --json and without --yes they are only listed.
    """
    from bakery.openstack.glance import prune as pruning
    from bakery.openstack.glance.images import Images

    bounds = pruning.Bounds(older_than=timedelta(hours=older_than), hidden=hidden)
    assert context.parent is not None
    images = Images.of_cloud(cloud or context.parent.params["cloud"])
    plan = pruning.find_unused(images, bounds)
    _show(out, plan)
    removed = []
    if plan.doomed and (yes or (not out.json and _agreed(out, len(plan.doomed)))):
        removed = pruning.remove(images, plan.doomed, bounds)
        out.print(f"removed: {len(removed)} of {len(plan.doomed)}")
    out.document({"plan": plan, "removed": removed})


def _agreed(out: Output, count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            "removing them needs confirmation, and this is not a terminal", "confirm with --yes"
        )
    return out.confirm(f"Remove {count} image{'s' if count > 1 else ''}?")


def _show(out: Output, plan: "Unused") -> None:
    if not plan.doomed:
        out.print("nothing to remove")
    for doomed in plan.doomed:
        size = f", {doomed.size_bytes} bytes" if doomed.size_bytes else ""
        name, why = doomed.name, doomed.why
        out.print(f"{doomed.id}  {name} ({doomed.role}{size}): {why}")
    for spared in plan.spared:
        out.print(f"kept: {spared.id}  {spared.name}: {spared.why}")


def _table(found: Sequence["ImageHealth"]) -> str:
    headings = ("name", "what", "id", "status", "size", "links", "health")
    rows = (_cells(entry) for entry in found)
    return table.text(headings, rows, whole=("id", "status", "size"), right=("size",))


def _cells(entry: "ImageHealth") -> tuple[str, ...]:
    linked = ", ".join(f"{role} {image_id[:SHORT_ID]}" for role, image_id in entry.links.items())
    words = [problem.partition(":")[0] for problem in entry.problems]
    return (
        entry.name,
        f"{entry.role} {entry.shape}",
        entry.id,
        entry.status + (" (hidden)" if entry.hidden else ""),
        "" if entry.size_bytes is None else str(entry.size_bytes),
        linked,
        ", ".join(words) or "good",
    )
