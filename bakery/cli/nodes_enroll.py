"""`bakery nodes enroll`: the nodes of a cloud become those of a file."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli import nodes_problems
from bakery.cli.options import CLOUD, PATH, Output, Seconds, output, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bakery.openstack.ironic.changes import Change, Work
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.enroll import Result
    from bakery.openstack.ironic.provision import Goals

UNCHANGED = "nothing was changed"
MOST_AT_ONCE = 64


@click.command(short_help="Create or update the nodes in a file.")
@click.argument("file", type=PATH)
@CLOUD
@click.option("--manage", is_flag=True, help="Then make each node `manageable`.")
@click.option("--inspect", is_flag=True, help="Then inspect nodes that never were.")
@click.option("--provide", is_flag=True, help="Then make each node `available`.")
@click.option(
    "--concurrency", type=click.IntRange(1, MOST_AT_ONCE), default=8, metavar="N",
    help="Number of nodes to work on at a time.",
)  # fmt: skip
@click.option(
    "--timeout", type=Seconds(7 * 86400), default=3600.0, metavar="SECONDS",
    help="How long to wait for --manage, --inspect and --provide.",
)  # fmt: skip
@click.option("--send-secrets", is_flag=True, help="Send passwords to existing nodes, too.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
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
    """Create or update the nodes in FILE, with their ports, traits and properties.

    FILE is what `openstack baremetal create` reads (YAML or JSON), or TripleO's instackenv.json.
    All of it is checked before anything is changed. Nodes that already match are left alone, so
    the same command continues where an interrupted one stopped.
    """
    from msgspec.structs import replace

    from bakery.openstack.ironic import enroll as enrolling
    from bakery.openstack.ironic import nodes_file, passwords
    from bakery.openstack.ironic.client import Ironic
    from bakery.openstack.ironic.provision import Goals

    fleet = nodes_file.read(file)
    if not fleet.problems:
        nodes = passwords.filled(fleet.problems, fleet.nodes, file)
        fleet = replace(fleet, nodes=tuple(nodes))
    if fleet.problems:
        return nodes_problems.refused(out, file, fleet, UNCHANGED)
    ironic = Ironic.of_cloud(cloud)
    with out.report.step("compare") as step:
        works, drivers_known = enrolling.prepared(ironic, fleet, secrets=send_secrets)
        step.summary(f"{len(fleet.nodes)} nodes")
        if not drivers_known:
            step.note(
                "drivers and interfaces are not checked: listing them takes a system-scoped role"
            )
    if fleet.problems:
        return nodes_problems.refused(out, file, fleet, UNCHANGED)
    if dry_run:
        return _would(out, works)
    goals = Goals(manage=manage, inspect=inspect, provide=provide)
    with out.report.step("enroll") as step:
        results: Sequence[Result] = enrolling.apply(ironic, works, concurrency, step)
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
    """Take the enrolled nodes to their goals."""
    from msgspec.structs import replace

    from bakery.openstack.ironic.provision import Drive

    uuids = [result.uuid for result in results if result.action != "failed"]
    verbs = ("manage", "inspect", "provide")
    with out.report.step("provision", ", ".join(v for v in verbs if getattr(goals, v))) as step:
        reached = Drive(ironic, uuids, goals, concurrency).run(step, timeout)
        there = Counter(one.state for one in reached.values())
        step.summary(", ".join(f"{count} {state}" for state, count in sorted(there.items())))
    return [
        replace(result, provision_state=one.state, error=result.error or one.error)
        if (one := reached.get(result.uuid))
        else result
        for result in results
    ]


def _would(out: Output, works: "Sequence[Work]") -> int:
    words = {"create": "would be created", "update": "would change", "none": "would not change"}
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
            say(f"bakery: {result.name}: {result.error}")
        if out.verbose or (result.action in ("created", "updated") and not result.error):
            _line(out, result.name, result.action, result.changes)
    out.print(_counted(results))
    failed = sum(bool(result.error) for result in results)
    if failed:
        say(f"bakery: {failed} of {len(results)} nodes failed")
    out.document({"nodes": results})
    return 1 if failed else 0


def _line(out: Output, name: str, action: str, changes: "Sequence[Change]") -> None:
    told = "; ".join(_shown(change) for change in changes)
    out.print(f"{name}: {action}" + (f": {told}" if told else ""))


def _shown(change: "Change") -> str:
    if change.was is None and change.now is None:
        return change.field
    before = "" if change.was is None else f"{change.was} → "
    return f"{change.field} {before}{change.now}"


def _counted(results: "Sequence[Result]") -> str:
    counts = Counter[str](result.action for result in results)
    kinds = ("created", "updated", "unchanged", "failed")
    return ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind]) or "no nodes"
