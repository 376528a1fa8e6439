"""`bakery prove`: boot a build and say how far it came."""

import os
from pathlib import Path
from typing import Literal

import click

from bakery.cli.options import EXISTING_FILE, FILE, FOLDER, Output, Seconds, output
from bakery.host import secret_file
from bakery.host.errors import UsageError

PASSWORD_VARIABLE = "BAKERY_PASSWORD"  # noqa: S105 - the name of a variable


@click.command("prove", short_help="Boot a build to a login or a named failure.")
@click.argument("directory", type=FOLDER, metavar="DIR")
@click.option(
    "--timeout",
    type=Seconds(86400),
    metavar="SECONDS",
    help="Time limit for boot and command together.  [default: 180 under KVM, 600 without]",
)
@click.option("--run", "command_text", metavar="CMD", help="Log in and run CMD in the guest.")
@click.option("--user", default="root", help="User to log in as for --run.")
@click.option(
    "--password-file",
    type=EXISTING_FILE,
    help="A file (mode 0600) whose first line is the password; also the variable "
    f"{PASSWORD_VARIABLE}.  [default: the sample images' own]",
)
@click.option(
    "--key",
    type=EXISTING_FILE,
    help="A file (mode 0600) with a private key: CMD is run over ssh, not at the console.",
)
@click.option(
    "--console",
    type=FILE,
    metavar="FILE",
    help="File for the console log.  [default: NAME-console.log in DIR]",
)
@click.option(
    "--memory",
    type=click.IntRange(min=128, max=1 << 20),
    default=2048,
    metavar="MIB",
    help="Memory of the guest.",
)
@click.option("--cpu", metavar="MODEL", help="QEMU's CPU model for the guest.")
@click.option(
    "--firmware",
    type=click.Choice(["bios", "uefi"]),
    help="Firmware that boots a base of layout disk.  [default: bios if it can]",
)
@output
def command(
    out: Output,
    directory: Path,
    timeout: float | None,
    command_text: str | None,
    user: str,
    password_file: Path | None,
    key: Path | None,
    console: Path | None,
    memory: int,
    cpu: str | None,
    firmware: Literal["bios", "uefi"] | None,
) -> int:
    """Boot the build in DIR in a virtual machine, to a login prompt or a named failure.

    The base is never written: the guest writes to an overlay that is discarded. Exit code 0 means
    that a login prompt was reached and, with --run, that CMD exited with 0.
    """
    from bakery.manifest import manifest
    from bakery.vm.machine import Machine
    from bakery.vm.prove.prove import Options, prove
    from bakery.vm.prove.shell import Login

    if key:
        if not command_text or password_file:
            raise UsageError("--key goes with --run, and without --password-file")
        secret_file.check(key)
    build = manifest.load(directory)
    options = Options(
        timeout_seconds=timeout,
        command=command_text or "",
        login=Login(user, _password(password_file, Login().password)),
        key=key,
        machine=Machine(memory_mib=memory, cpu=cpu or ""),
        firmware=firmware,
    )
    kept = console or directory / f"{build.manifest.name}-console.log"
    verdict = prove(build, options, console_path=kept, report=out.report)
    if verdict.command:
        out.text(verdict.command.output.removesuffix("\n"))
    out.print(f"{verdict.title} ({verdict.seconds:.1f} s): {verdict.reason}")
    out.print(f"console: {verdict.console}")
    out.document(verdict)
    return 0 if verdict.proved else 1


def _password(file: Path | None, default: str) -> str:
    """The password of --password-file, else of the environment, else `default`."""
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE, default)
    return secret_file.first_line(file)
