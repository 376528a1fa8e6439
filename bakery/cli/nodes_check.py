"""`bakery nodes check`: what is wrong with a nodes file, found without a cloud."""

from pathlib import Path

import click

from bakery.cli import nodes_problems
from bakery.cli.options import PATH, Output, output


@click.command(short_help="Check a file of nodes, offline.")
@click.argument("file", type=PATH)
@click.option("--secrets", is_flag=True, help="Also look up every password that it refers to.")
@output
def check(out: Output, file: Path, *, secrets: bool) -> int:
    """Check the nodes in FILE, for `bakery deploy --nodes` and for `bakery nodes enroll`.

    Every fault is reported with its line. No network is used; nothing is read but FILE, and
    the certificates it names have to exist; with --secrets, variables and password files
    are read, and password commands run.
    """
    from bakery.conductor import rack_site
    from bakery.openstack.ironic import passwords

    fleet, foreign = rack_site.checked(file)
    if secrets and not fleet.problems:
        passwords.filled(fleet.problems, fleet.nodes, file)
    told = {"nodes": len(fleet.nodes), "ironic_only": foreign}
    if fleet.problems:
        return nodes_problems.refused(out, file, fleet, "", told)
    count = len(fleet.nodes)
    out.print(f"{file}: {count} {'node' if count == 1 else 'nodes'}, no problem")
    if foreign:
        names = ", ".join(foreign)
        out.print(f"  for Ironic only, as bakery does not support their drivers: {names}")
    out.document({"error": "", "hint": "", "problems": [], **told})
    return 0
