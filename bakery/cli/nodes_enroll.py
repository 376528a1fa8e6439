"""`bakery nodes enroll`: what a file says becomes the nodes of a cloud."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import CLOUD, Output, output
from bakery.cli.table import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakery.cloud.enroll import Result
    from bakery.cloud.ironic import Ironic
    from bakery.cloud.provision import Goals
    from bakery.fleet.plan import Change, Work
    from bakery.fleet.problems import Problems

PROBLEMS_SHOWN = 50
MOST_AT_ONCE = 64


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@CLOUD
@click.option("--manage", is_flag=True, help="Then have Ironic take each over: `manageable`.")
@click.option("--inspect", is_flag=True, help="Then have those inspected that were not yet.")
@click.option("--provide", is_flag=True, help="Then make each `available`.")
@click.option(
    "--concurrency", type=click.IntRange(1, MOST_AT_ONCE), default=8, show_default=True,
    metavar="N", help="So many nodes at a time.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(1, 7 * 86400), default=3600.0, show_default=True,
    metavar="SECONDS", help="How long to wait for --manage, --inspect and --provide.",
)  # fmt: skip
@click.option("--send-secrets", is_flag=True, help="Send passwords of nodes that exist as well.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, and do nothing.")
@output
def enroll(
    out: Output,
    file: Path,
    cloud: str | None,
    concurrency: int,
    timeout: float,
    *,
    manage: bool,
    inspect: bool,
    provide: bool,
    send_secrets: bool,
    dry_run: bool,
) -> int:
    """Create or update the nodes of FILE, with their ports, traits and properties.

    FILE is what `openstack baremetal create` reads (YAML or JSON), or TripleO's instackenv.json.
    All of it is checked before anything is changed. What is as it should be is left alone, so that
    the same command goes on where another one ended.
    """
    from bakery.cloud import enroll as enrolling
    from bakery.cloud.ironic import Ironic
    from bakery.cloud.provision import Goals
    from bakery.fleet import nodesfile

    fleet = nodesfile.read(file)
    if fleet.problems:
        return _refused(out, file, fleet.problems)
    ironic = Ironic.of_cloud(cloud)
    with out.report.step("compare") as step:
        works, drivers_known = enrolling.prepared(ironic, fleet, secrets=send_secrets)
        step.summary(f"{len(fleet.nodes)} nodes")
        if not drivers_known:
            step.note("drivers and interfaces are not checked: listing them takes a system role")
    if fleet.problems:
        return _refused(out, file, fleet.problems)
    if dry_run:
        return _would(out, works)
    goals = Goals(manage=manage, inspect=inspect, provide=provide)
    with out.report.step("enroll") as step:
        results: Sequence[Result] = enrolling.carry_out(ironic, works, concurrency, step)
        step.summary(_counted(results))
    if goals.any:
        results = _driven(out, ironic, results, goals, concurrency, timeout)
    return _told(out, results)


def _driven(
    out: Output,
    ironic: "Ironic",
    results: "Sequence[Result]",
    goals: "Goals",
    concurrency: int,
    timeout: float,
) -> "Sequence[Result]":
    """Bring on their way all that are enrolled."""
    from msgspec.structs import replace

    from bakery.cloud.provision import Drive

    uuids = [result.uuid for result in results if result.action != "failed"]
    words = ("manage", "inspect", "provide")
    with out.report.step("provision", ", ".join(w for w in words if getattr(goals, w))) as step:
        outcomes = Drive(ironic, uuids, goals, concurrency).run(step, timeout)
        there = Counter(outcome.state for outcome in outcomes.values())
        step.summary(", ".join(f"{count} {state}" for state, count in sorted(there.items())))
    return [
        replace(result, provision_state=outcome.state, error=result.error or outcome.error)
        if (outcome := outcomes.get(result.uuid))
        else result
        for result in results
    ]


def _refused(out: Output, file: Path, problems: "Problems") -> int:
    """Tell all that is wrong, each on its line."""
    shown = problems.found[:PROBLEMS_SHOWN]
    for problem in shown:
        click.echo(clean(f"{file}: {problem}"), err=True)
    more = problems.count - len(shown)
    if more:
        click.echo(f"… and {more} more", err=True)
    word = "problem" if problems.count == 1 else "problems"
    error = f"{file}: {problems.count} {word}, nothing was changed"
    click.echo(f"bakery: {clean(error)}", err=True)
    out.document({"error": error, "hint": "", "problems": problems.found})
    return 1


def _would(out: Output, works: "Sequence[Work]") -> int:
    words = {"create": "would be created", "update": "would change", "none": "is as it should be"}
    for work in works:
        if work.action != "none" or out.verbose:
            _line(out, work.node.name or work.node.label, words[work.action], work.changes)
    counts = Counter(work.action for work in works)
    out.print(
        f"{counts['create']} to create, {counts['update']} to update, {counts['none']} unchanged"
    )
    out.document(
        {
            "dry_run": True,
            "nodes": [
                {
                    "name": work.node.name,
                    "uuid": work.there,
                    "action": work.action,
                    "changes": work.changes,
                }
                for work in works
            ],
        }
    )
    return 0


def _told(out: Output, results: "Sequence[Result]") -> int:
    for result in results:
        if result.error:
            click.echo(clean(f"bakery: {result.name}: {result.error}"), err=True)
        if out.verbose or (result.action in ("created", "updated") and not result.error):
            _line(out, result.name, result.action, result.changes)
    out.print(_counted(results))
    failed = sum(bool(result.error) for result in results)
    if failed:
        click.echo(f"bakery: {failed} of {len(results)} nodes are not as wanted", err=True)
    out.document({"nodes": results})
    return 1 if failed else 0


def _line(out: Output, name: str, action: str, changes: "Sequence[Change]") -> None:
    told = "; ".join(_shown(change) for change in changes)
    out.print(clean(f"{name}: {action}" + (f": {told}" if told else "")))


def _shown(change: "Change") -> str:
    if change.was is None and change.now is None:
        return change.field
    return f"{change.field} {change.was} → {change.now}" if change.was is not None else (
        f"{change.field} {change.now}"
    )  # fmt: skip


def _counted(results: "Sequence[Result]") -> str:
    counts = Counter[str](result.action for result in results)
    kinds = ("created", "updated", "unchanged", "failed")
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind]) or "no nodes"
