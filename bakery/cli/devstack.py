"""`bakery devstack`: a devstack that deploys a build, and what is wrong with one's local.conf."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import (
    BUILD,
    EXISTING_FILE,
    EXISTING_FOLDER,
    FILE,
    FOLDER,
    PATH,
    Output,
    output,
    several,
)

if TYPE_CHECKING:
    from bakery.devstack.finding import Finding
    from bakery.devstack.host import Host
    from bakery.devstack.settings import Settings
    from bakery.devstack.steps import Step
    from bakery.manifest.manifest import Manifest


@click.group("devstack", short_help="Set up a devstack whose Ironic deploys a build.")
def command() -> None:
    """Write devstack's configuration for a build, check one, and run it."""


NODES = click.option("--nodes", type=click.IntRange(1, 64), default=1, help="Number of nodes.")
MEMORY = click.option(
    "--memory", "host_gib", metavar="GIB", type=click.IntRange(1),
    help="Memory of the machine devstack will run on.  [this machine's]",
)  # fmt: skip
SIZES = several(
    click.option("--release", metavar="NAME", help="OpenStack's release.  [the newest]"),
    NODES,
    click.option(
        "--node-memory",
        "memory_mib",
        metavar="MIB",
        type=click.IntRange(256),
        help="Memory of each node.  [Ironic's default]",
    ),
    click.option(
        "--node-disk",
        "disk_gib",
        metavar="GIB",
        type=click.IntRange(1),
        help="Disk of each node.  [10, or what the base needs]",
    ),
    click.option("--node-cpus", "cpus", type=click.IntRange(1, 64), default=1),
    click.option("--host-ip", metavar="ADDRESS", help="HOST_IP of devstack."),
    click.option(
        "--password-file",
        type=EXISTING_FILE,
        metavar="FILE",
        help="A file (mode 0600) whose first line is the password of every service: letters and "
        "digits.  [random]",
    ),
    click.option("--log-folder", metavar="PATH", help="Folder for the nodes' console logs."),
    MEMORY,
    click.option("--replace", is_flag=True, help="Overwrite files with other content."),
)
"""The options of both kinds of configuration."""


@command.command("local.conf", short_help="local.conf for a build (Mitaka to today).")
@BUILD
@click.option("-o", "--output", "path", type=FILE, default=Path("local.conf"), help="The file.")
@SIZES
@output
def local_conf(out: Output, directory: Path, path: Path, **options: object) -> None:
    """Write a local.conf whose nodes boot the build in DIR."""
    from bakery.devstack import install, localconf
    from bakery.manifest import manifest

    build = manifest.load(directory).manifest
    settings, replace = _settings(out, build, options)
    install.put(path, localconf.write(build, settings), replace=replace)
    _told(out, [path], settings)


@command.command("localrc", short_help="localrc and local.conf as in 2014 (Juno, Liberty).")
@BUILD
@click.option(
    "-o", "--output", "folder", type=EXISTING_FOLDER, default=Path(), help="Output folder."
)
@SIZES
@output
def localrc(out: Output, directory: Path, folder: Path, **options: object) -> None:
    """Write the localrc of 2014 for the build in DIR, and the local.conf it needs beside it.

    A localrc cannot hold the kernel arguments; devstack takes them from the local.conf.
    """
    from bakery.devstack import install
    from bakery.devstack import localrc as form
    from bakery.manifest import manifest

    build = manifest.load(directory).manifest
    settings, replace = _settings(out, build, options | {"release": options["release"] or "juno"})
    files = form.write(build, settings)
    install.put(folder / "localrc", files.localrc, replace=replace)
    install.put(folder / "local.conf", files.local_conf, replace=replace)
    _told(out, [folder / "localrc", folder / "local.conf"], settings)


@command.command("check", short_help="Find what will not work in a local.conf.")
@click.argument("path", metavar="LOCAL.CONF", type=FILE)
@click.option(
    "--image", "directory", metavar="DIR", type=PATH, help="The build that its nodes are to boot."
)
@click.option("--release", metavar="NAME", help="OpenStack's release.  [that of the plugin]")
@MEMORY
@output
def check(
    out: Output, path: Path, directory: Path | None, release: str | None, host_gib: int | None
) -> None:
    """Check a local.conf (or a localrc) and report what will not work, with file and line.

    Nothing in it is run. Exit code 1 if there are errors, 0 if there are only warnings.
    """
    from bakery.devstack import check as checking
    from bakery.manifest import manifest

    build = manifest.load(directory).manifest if directory else None
    known, findings = checking.check(path, release=release or "", host=_host(host_gib), build=build)
    for finding in findings:
        out.print(*_lines(finding))
    errors = sum(finding.level == "error" for finding in findings)
    if not findings:
        out.print(f"{path}: no problems found for {known}")
    told = [finding.document() for finding in findings]
    out.document({"file": path, "release": known, "errors": errors, "findings": told})
    if errors:
        raise click.exceptions.Exit(1)


@command.command("run", short_help="Go from an image to a login on a node, step by step.")
@click.argument("source", metavar="DIR|IMAGE", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--devstack", "folder", type=FOLDER, required=True, help="Folder that holds stack.sh."
)
@click.option("--ssh-key", "key", type=FILE, required=True, help="Public key to log in with.")
@click.option("--release", metavar="NAME", help="devstack's release.  [the newest]")
@NODES
@click.option("--layout", type=click.Choice(["pv", "lv", "disk"]), help="To build an IMAGE with.")
@click.option("-o", "--output", type=PATH, help="Folder of an IMAGE's build.")
@click.option("--server", help="Name of the server.  [the build's]")
@click.option("--user", help="User to log in as.  [named after the image's distribution]")
@click.option(
    "--journal",
    "path",
    type=FILE,
    default=Path("devstack-run.json"),
    help="Journal of the steps done.",
)
@click.option("--dry-run", is_flag=True, help="Print every step in full without running any.")
@output
def run(
    out: Output,
    source: Path,
    folder: Path,
    key: Path,
    path: Path,
    output: Path | None,
    layout: str | None,
    *,
    dry_run: bool,
    **options: object,
) -> None:
    """Build, configure and stack devstack, upload, boot a node, and wait for its login.

    Each step is printed before it runs. Steps that are already done are skipped, so the same
    command continues where an earlier one stopped.
    """
    from bakery.devstack import run as go
    from bakery.devstack import runbook
    from bakery.devstack.journal import Journal
    from bakery.manifest import manifest
    from bakery.openstack.ironic import releases

    options["release"] = releases.known(str(options["release"] or ""))
    made = runbook.RunbookOptions(
        bakery=_program(),
        folder=folder.absolute(),
        key=key.absolute(),
        **_given(options),  # type: ignore[arg-type]
    )
    is_build = source.is_dir()
    target = source if is_build else output or Path(source.name).with_suffix("")
    first = [] if is_build else [runbook.building(made.bakery, source, target, layout or "")]
    if dry_run:
        known = is_build or manifest.find(target) is not None
        further = runbook.steps(manifest.load(target), made) if known else ()
        _print_steps(out, [*first, *further], complete=known)
        return
    journal = Journal(path)
    with journal.held():
        runner = go.Runner(journal, path.with_suffix(".log"), out.report.note)
        runner.run(first)
        runner.run(runbook.steps(manifest.load(target), made))
    out.print(runner.learned["address"])
    out.document({"address": runner.learned["address"], "journal": path})


def _program() -> str:
    """This program, as a step calls it: the one beside the interpreter, or that on PATH."""
    import sys

    own = Path(sys.executable).with_name("bakery")
    return str(own) if own.exists() else "bakery"


def _print_steps(out: Output, steps: "list[Step]", *, complete: bool) -> None:
    for number, step in enumerate(steps, 1):
        head, *rest = step.shown()
        out.print(f"{number}/{len(steps) if complete else '…'} {head}", *rest)
    if not complete:
        out.print("the remaining steps need the build's names and arguments: build it first")
    document = [
        {
            "name": step.name,
            "title": step.title,
            "skip": step.skip,
            "look": [command.line for command in step.look],
            "act": [command.line for command in step.act],
            "undo": [command.line for command in step.undo],
            "wait_seconds": step.wait_seconds,
        }
        for step in steps
    ]
    out.document({"steps": document, "complete": complete})


def _settings(
    out: Output, build: "Manifest", options: dict[str, object]
) -> "tuple[Settings, bool]":
    """The settings of the options, what is wrong with the machine said, and --replace."""
    import secrets

    from bakery.devstack import host, localconf, settings
    from bakery.host import secret_file
    from bakery.host.errors import BakeryError

    machine = _host(options.pop("host_gib"))
    replace = bool(options.pop("replace"))
    file = options.pop("password_file")
    password = secret_file.first_line(file) if isinstance(file, Path) else secrets.token_hex(12)
    usual = {"release": "", "password": password}
    made = settings.make(build, **(usual | _given(options)))  # type: ignore[arg-type]
    for level, says in host.memory_faults(machine, made.nodes, made.node_memory_mib):
        if level == "error":
            raise BakeryError(says, "fewer nodes, or less memory each: --nodes, --node-memory")
        out.report.note(says)
    for caution in localconf.cautions(build, made.release):
        out.report.note(caution)
    return made, replace


def _given(options: dict[str, object]) -> dict[str, object]:
    """The options that have a value."""
    return {name: value for name, value in options.items() if value not in (None, "")}


def _host(gib: object) -> "Host":
    from bakery.devstack import host

    return host.Host(gib * host.GIB) if isinstance(gib, int) else host.this()


def _told(out: Output, paths: list[Path], settings: "Settings") -> None:
    for path in paths:
        out.print(str(path))
    document = {"files": paths, "release": settings.release, "nodes": settings.nodes}
    out.document(document)


def _lines(finding: "Finding") -> list[str]:
    (file,) = finding.place
    where = f"{file}:{finding.line}" if finding.line else file
    hint = [f"  {finding.hint}"] if finding.hint else []
    return [f"{where}: {finding.level}: {finding.message}", *hint]
