"""The `bakery` command: a table of commands, and the one place where a failure becomes output."""

import gc
import importlib
import io
import os
import sys
from typing import NoReturn

import click

from bakery import __version__
from bakery.host import interrupts
from bakery.host.errors import BakeryError
from bakery.host.printable import printable, printable_json, printable_lines

# Each command inherits it: an option with a default shows it.
CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True}
# name → module whose `command` is the click command. Modules load when they are asked for.
COMMANDS = {
    "inspect": "bakery.cli.inspect",
    "check": "bakery.cli.check",
    "plan": "bakery.cli.plan",
    "build": "bakery.cli.build",
    "params": "bakery.cli.params",
    "sign": "bakery.cli.sign",
    "prove": "bakery.cli.prove",
    "scrub": "bakery.cli.scrub",
    "restore": "bakery.cli.restore",
    "upload": "bakery.cli.upload",
    "download": "bakery.cli.download",
    "images": "bakery.cli.images",
    "ramdisk": "bakery.cli.ramdisk",
    "nodes": "bakery.cli.nodes",
    "deploy": "bakery.cli.deploy",
    "dhcp-config": "bakery.cli.dhcp_config",
    "lab": "bakery.cli.lab",
    "devstack": "bakery.cli.devstack",
    "doctor": "bakery.cli.doctor",
}


class Commands(click.Group):
    """A group that loads a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=Commands, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="bakery")
def cli() -> None:
    """Put any Linux image onto bare metal: check, build, prove."""


def main() -> NoReturn:
    """Run the command line; exit 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    interrupts.catch()
    try:
        code = cli(prog_name="bakery", standalone_mode=False) or 0
        sys.stdout.flush()
    except BakeryError as error:
        code = _fail(error)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        told = io.StringIO()  # it quotes the command line, which may hold anything
        error.show(told)
        click.echo(printable_lines(told.getvalue()), nl=False, err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("bakery: interrupted", err=True)
        code = interrupts.INTERRUPTED
    except BrokenPipeError:
        # The reader went away; nothing more can be said on standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    # As it ends Python looks through all objects for cycles, some 20 ms; they go with the process.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: BakeryError) -> int:
    if "--json" in sys.argv:
        document = {"error": error.message, "hint": error.hint}
        click.echo(printable_json(document, indent=2))
    click.echo(printable(f"bakery: {error.message}"), err=True)
    if error.hint:
        click.echo(printable(f"  {error.hint}"), err=True)
    return error.exit_code
