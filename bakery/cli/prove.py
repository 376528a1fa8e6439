"""`bakery prove`: boot a build and say how far it came."""

import os
from pathlib import Path
from typing import Literal

import click

from bakery.cli.options import Output, output

PASSWORD_VARIABLE = "BAKERY_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_LIMIT_BYTES = 4096


@click.command("prove", short_help="Boot a build, to login or a named failure.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1, max=86400),
    metavar="SECONDS",
    help="Bound on boot and command together.  [default: 180 under KVM, 600 without]",
)
@click.option("--run", "command_text", default="", metavar="CMD", help="Log in and run CMD there.")
@click.option("--user", default="root", show_default=True, help="Who logs in for --run.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"A file whose first line is the password; also the variable {PASSWORD_VARIABLE}."
    "  [default: the sample images' own]",
)
@click.option(
    "--console",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the console is kept.  [default: NAME-console.log in DIR]",
)
@click.option(
    "--memory",
    type=click.IntRange(min=128, max=1 << 20),
    default=2048,
    show_default=True,
    metavar="MIB",
    help="Memory of the guest.",
)
@click.option("--cpu", default="", metavar="MODEL", help="QEMU's CPU model for the guest.")
@click.option(
    "--firmware",
    type=click.Choice(["bios", "uefi"]),
    help="What boots a base of layout disk.  [default: bios where it can]",
)
@output
def command(
    out: Output,
    directory: Path,
    timeout: float | None,
    command_text: str,
    user: str,
    password_file: Path | None,
    console: Path | None,
    memory: int,
    cpu: str,
    firmware: Literal["bios", "uefi"] | None,
) -> int:
    """Boot the build in DIR in a virtual machine, to a login prompt or a named failure.

    The base is never written: the guest writes to an overlay that is thrown away. Exit code 0
    means that a login prompt was reached and, with --run, that CMD ended with exit code 0.
    """
    from bakery import manifest
    from bakery.machine import Machine
    from bakery.prove import Login, Options, prove

    build = manifest.load(directory)
    options = Options(
        timeout_seconds=timeout,
        command=command_text,
        login=Login(user, _password(password_file, Login().password)),
        machine=Machine(memory_mib=memory, cpu=cpu),
        firmware=firmware,
    )
    kept = console or directory / f"{build.manifest.name}-console.log"
    verdict = prove(build, options, console_path=kept, report=out.report)
    if verdict.command:
        out.print(verdict.command.output.removesuffix("\n"))
    out.print(f"{verdict.title} ({verdict.seconds:.1f} s): {verdict.reason}")
    out.print(f"console: {verdict.console}")
    out.document(verdict)
    return 0 if verdict.proved else 1


def _password(file: Path | None, default: str) -> str:
    """The password of --password-file, else of the environment, else `default`."""
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE, default)
    with file.open("rb") as stream:
        return stream.readline(PASSWORD_LIMIT_BYTES).decode("utf-8", "replace").rstrip("\r\n")
