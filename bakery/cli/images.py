"""`bakery images` and `bakery images prune`."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bakery.cli import table
from bakery.cli.options import CLOUD, Output, output
from bakery.errors import UsageError

if TYPE_CHECKING:
    from bakery.cloud.health import Entry
    from bakery.cloud.prune import Plan

SHORT_ID = 8
OLDEST_HOURS = 24 * 3650


@click.group("images", short_help="What is published, and its health.", invoke_without_command=True)
@CLOUD
@click.pass_context
@output
def command(out: Output, context: click.Context, cloud: str | None) -> None:
    """List what bakery published: links and health of every image.

    `bakery images prune` removes what nothing refers to.
    """
    if context.invoked_subcommand is not None:
        return
    from bakery.cloud import health
    from bakery.cloud.images import Images

    found = health.entries(Images.of_cloud(cloud))
    if found:
        out.print(_table(found))
    else:
        out.print("nothing is published here")
    for entry in found:
        for problem in entry.problems:
            out.print(f"{table.clean(entry.name)} ({entry.id}): {table.clean(problem)}")
    out.document(found)


@command.command()
@CLOUD
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--hidden", is_flag=True, help="Also bases that another one replaced.")
@click.option(
    "--older-than",
    type=click.IntRange(0, OLDEST_HOURS),
    default=1,
    show_default=True,
    metavar="HOURS",
    help="Leave alone what was changed later: an upload may be under way.",
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
    """Show what nothing refers to, and remove it.

    Kernels and ramdisks that no base links to, and uploads that died. What an image refers to
    that bakery did not make stays too. With --json and without --yes it is only shown.
    """
    from bakery.cloud import prune as pruning
    from bakery.cloud.images import Images

    bounds = pruning.Bounds(older_than=timedelta(hours=older_than), hidden=hidden)
    images = Images.of_cloud(cloud or _cloud_of_the_group(context))
    plan = pruning.plan(images, bounds)
    _show(out, plan)
    removed = []
    if plan.doomed and (yes or (not out.json and _agreed(len(plan.doomed)))):
        removed = pruning.remove(images, plan.doomed, bounds)
        out.print(f"removed: {len(removed)} of {len(plan.doomed)}")
    out.document({"plan": plan, "removed": removed})


def _cloud_of_the_group(context: click.Context) -> str | None:
    assert context.parent is not None
    cloud = context.parent.params.get("cloud")
    return cloud if isinstance(cloud, str) else None


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to be asked whether to remove them", "say so: --yes")
    return click.confirm(f"Remove {count} image{'s' if count > 1 else ''}?", err=True)


def _show(out: Output, plan: "Plan") -> None:
    if not plan.doomed:
        out.print("nothing to remove")
    for doomed in plan.doomed:
        size = f", {doomed.size_bytes} bytes" if doomed.size_bytes else ""
        name, why = table.clean(doomed.name), table.clean(doomed.why)
        out.print(f"{doomed.id}  {name} ({doomed.role}{size}): {why}")
    for spared in plan.spared:
        out.print(f"stays: {spared.id}  {table.clean(spared.name)}: {table.clean(spared.why)}")


def _table(found: Sequence["Entry"]) -> str:
    headings = ("name", "what", "id", "status", "size", "links", "health")
    rows = (_cells(entry) for entry in found)
    return table.text(headings, rows, whole=("id", "status", "size"), right=("size",))


def _cells(entry: "Entry") -> tuple[str, ...]:
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
