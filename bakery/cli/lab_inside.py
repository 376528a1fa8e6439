"""`bakery lab console` and `bakery lab run`: being where the lab's nodes are."""

import sys
from pathlib import Path

import click

from bakery.cli.lab_nodes import in_folder, lab_folder
from bakery.cli.options import say


@click.command(short_help="Attach to the serial console of a node.")
@click.argument("node", metavar="NODE")
@in_folder
def console(node: str, folder: Path | None) -> int:
    """Attach to the serial console of NODE (node-1, or 1); Ctrl-] detaches.

    Several terminals can be attached at once, and each can type. The console stays attached while
    the node is powered off and on.
    """
    from bakery.host.errors import BakeryError
    from bakery.lab import state, terminal
    from bakery.lab.attach import attach

    found = state.load(lab_folder(folder)).node(node)
    try:
        connection = terminal.connect(found.terminal)
    except OSError as error:
        raise BakeryError(
            f"the console of {found.name} cannot be reached: {error.strerror}", "bakery lab status"
        ) from None
    with connection:
        say(f"attached to {found.name} ({found.state}); Ctrl-] detaches")
        if attach(connection, sys.stdin.fileno(), sys.stdout.fileno()):
            say("")
            say(f"detached from {found.name}")
            return 0
    raise BakeryError(f"the console of {found.name} has ended", "bakery lab status")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@in_folder
@click.argument("words", nargs=-1, required=True, metavar="COMMAND…")
def run(words: tuple[str, ...], folder: Path | None) -> int:
    """Run COMMAND on the lab's network, and exit with its exit code.

    It runs as you and sees your files, but no network other than the lab's.
    """
    from bakery.host import run as processes
    from bakery.lab import state

    lab = state.load(lab_folder(folder))
    streams = (sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno())
    with processes.spawn(
        lab.enter(words), stdin=streams[0], stdout=streams[1], stderr=streams[2]
    ) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code
