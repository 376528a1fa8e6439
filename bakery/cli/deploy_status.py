"""`bakery deploy status` and `bakery deploy log`: what journals of deploys tell."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli import table
from bakery.cli.lab_nodes import in_folder, lab_folder
from bakery.cli.options import FOLDER, Output, output
from bakery.host.errors import BakeryError

if TYPE_CHECKING:
    from bakery.conductor.journal import Record

IN_LAB = click.option(
    "--state",
    type=FOLDER,
    metavar="DIR",
    help="A rack's folder of journals.  [default: ~/.local/state/bakery/rack, and the lab's]",
)


@click.command(short_help="Tell how far each node is.")
@IN_LAB
@in_folder
@output
def status(out: Output, state: Path | None, folder: Path | None) -> None:
    """Show every node that was deployed from here: its state, since when, and what it runs.

    Only the journals are read; no node is contacted.
    """
    found = _records(state, folder)
    headings = ("name", "state", "since", "image", "sign", "worked on by")
    if found:
        rows = [_cells(record, holder) for record, holder in found]
        out.text(table.text(headings, rows, whole=("name", "state")))
    else:
        out.print("nothing was deployed from here")
    out.document([_document(record, holder) for record, holder in found])


@click.command(short_help="Tell what happened to a node.")
@click.argument("node")
@IN_LAB
@in_folder
@output
def log(out: Output, node: str, state: Path | None, folder: Path | None) -> None:
    """Show when NODE, a name or uuid, entered each state, and why it got no further."""
    found = [
        (record, holder)
        for record, holder in _records(state, folder)
        if node in (record.name, str(record.node))
    ]
    if not found:
        raise BakeryError(f"no journal for a node '{node}'", "bakery deploy status lists them")
    for record, holder in found:
        out.print(f"{record.name} ({record.node}): {record.wanted}")
        for visit in record.visits:
            out.print(f"  {_at(visit.at)}  {visit.state}")
        if record.reason:
            out.print(f"  {record.reason}")
        if holder:
            out.print(f"  worked on by {holder}")
    out.document([_document(record, holder) for record, holder in found])


COMMANDS = {"status": status, "log": log}


def _records(state: Path | None, folder: Path | None) -> list[tuple["Record", str]]:
    """The journals' records by name, and who holds each node; of the places that are named."""
    from bakery.conductor import journal, lab_site, rack_site

    places = [] if folder and not state else [state or rack_site.default_state()]
    if folder or not state:
        places.append(lab_site.journals_of(lab_folder(folder)))
    found = [one for place in places for one in journal.all_in(place.absolute())]
    return sorted(found, key=lambda one: (one[0].name, str(one[0].node)))


def _cells(record: "Record", holder: str) -> tuple[str, ...]:
    since = _at(record.visits[-1].at) if record.visits else ""
    return (record.name, record.state, since, str(record.wanted), record.sign, holder)


def _document(record: "Record", holder: str) -> dict[str, object]:
    """A record without its secrets."""
    return {
        "name": record.name,
        "uuid": str(record.node),
        "state": record.state,
        "attempt": record.attempt,
        "reason": record.reason,
        "sign": record.sign,
        "wanted": record.wanted,
        "machine": record.machine,
        "visits": record.visits,
        "worked_on_by": holder,
    }


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
