"""`bakery devstack`: a devstack that deploys a build, and what is wrong with one's local.conf."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.devstack.finding import Finding
    from bakery.devstack.host import Host
    from bakery.devstack.settings import Settings
    from bakery.manifest import Manifest

Function = TypeVar("Function", bound=Callable[..., object])
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("devstack", short_help="A devstack whose Ironic deploys a build.")
def command() -> None:
    """Write devstack's configuration for a build, find what is wrong with one, and run it."""


def _sizes(function: Function) -> Function:
    """The options of both kinds of configuration."""
    for option in reversed(
        (
            click.option(
                "--release", metavar="NAME", default="", help="OpenStack's release.  [the newest]"
            ),
            click.option("--nodes", default=1, help="How many nodes.", show_default=True),
            click.option(
                "--node-memory",
                "memory_mib",
                metavar="MIB",
                type=click.IntRange(256),
                help="Memory of each.  [Ironic's own]",
            ),
            click.option(
                "--node-disk",
                "disk_gib",
                metavar="GIB",
                type=click.IntRange(1),
                help="Disk of each.  [10, or what the base needs]",
            ),
            click.option(
                "--node-cpus", "cpus", type=click.IntRange(1, 64), default=1, show_default=True
            ),
            click.option("--host-ip", metavar="ADDRESS", default="", help="HOST_IP of devstack."),
            click.option(
                "--password",
                default="",
                help="Of every service, letters and digits.  [drawn by chance]",
            ),
            click.option("--log-folder", metavar="PATH", help="Where the nodes' consoles go."),
            click.option(
                "--memory",
                "host_gib",
                metavar="GIB",
                type=click.IntRange(1),
                help="Memory of the machine devstack will run on.  [this one's]",
            ),
            click.option("--replace", is_flag=True, help="Write over other content."),
        )
    ):
        function = option(function)
    return function


@command.command("local.conf", short_help="local.conf for a build (Mitaka to today).")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "path",
    type=EXISTING_FILE,
    default=Path("local.conf"),
    show_default=True,
    help="The file.",
)
@_sizes
@output
def local_conf(out: Output, directory: Path, path: Path, **options: object) -> None:
    """Write a local.conf whose nodes boot the build in DIR."""
    from bakery import manifest
    from bakery.devstack import localconf, place

    build = manifest.load(directory).manifest
    settings, replace = _settings(out, build, options)
    place.put(path, localconf.write(build, settings), replace=replace)
    _told(out, [path], settings)


@command.command("localrc", short_help="localrc and local.conf as in 2014 (Juno, Liberty).")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path(),
    help="Folder of the two files.  [this one]",
)
@_sizes
@output
def localrc(out: Output, directory: Path, folder: Path, **options: object) -> None:
    """Write the localrc of 2014 for the build in DIR, and the local.conf it needs beside it.

    A localrc cannot hold the kernel arguments; devstack takes them from the local.conf.
    """
    from bakery import manifest
    from bakery.devstack import localrc as form
    from bakery.devstack import place

    build = manifest.load(directory).manifest
    settings, replace = _settings(out, build, options | {"release": options["release"] or "juno"})
    files = form.write(build, settings)
    place.put(folder / "localrc", files.localrc, replace=replace)
    place.put(folder / "local.conf", files.local_conf, replace=replace)
    _told(out, [folder / "localrc", folder / "local.conf"], settings)


@command.command("check", short_help="What will not work in a local.conf.")
@click.argument("path", metavar="LOCAL.CONF", type=EXISTING_FILE)
@click.option(
    "--image",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The build that its nodes are to boot.",
)
@click.option(
    "--release", metavar="NAME", default="", help="OpenStack's release.  [that of the plugin]"
)
@click.option(
    "--memory",
    "host_gib",
    metavar="GIB",
    type=click.IntRange(1),
    help="Memory of the machine devstack will run on.  [this one's]",
)
@output
def check(
    out: Output, path: Path, directory: Path | None, release: str, host_gib: int | None
) -> None:
    """Read a local.conf (or a localrc) and name what will not work, with file and line.

    Nothing in it is run. Exit code 1 where an error was found; warnings alone give 0.
    """
    from bakery import manifest
    from bakery.devstack import check as checking

    build = manifest.load(directory).manifest if directory else None
    known, findings = checking.check(path, release=release, host=_host(host_gib), build=build)
    for finding in findings:
        out.print(_line(finding))
    errors = sum(finding.level == "error" for finding in findings)
    if not findings:
        out.print(f"{path}: nothing found that would not work in {known}")
    out.document({"file": path, "release": known, "errors": errors, "findings": findings})
    if errors:
        raise click.exceptions.Exit(1)


def _settings(
    out: Output, build: "Manifest", options: dict[str, object]
) -> "tuple[Settings, bool]":
    """The settings of the options, what is wrong with the machine said, and --replace."""
    import secrets

    from bakery.devstack import host, localconf, settings
    from bakery.errors import BakeryError

    machine = _host(options.pop("host_gib"))
    replace = bool(options.pop("replace"))
    options["password"] = options["password"] or secrets.token_hex(12)
    given = {name: value for name, value in options.items() if value is not None}
    made = settings.make(build, **given)  # type: ignore[arg-type]
    for level, says in host.memory_faults(machine, made.nodes, made.node_memory_mib):
        if level == "error":
            raise BakeryError(says, "fewer nodes, or less memory each: --nodes, --node-memory")
        out.report.note(says)
    for caution in localconf.cautions(build, made.release):
        out.report.note(caution)
    return made, replace


def _host(gib: object) -> "Host":
    from bakery.devstack import host

    return host.Host(gib * host.GIB) if isinstance(gib, int) else host.this()


def _told(out: Output, paths: list[Path], settings: "Settings") -> None:
    for path in paths:
        out.print(str(path))
    document = {"files": paths, "release": settings.release, "nodes": settings.nodes}
    out.document(document)


def _line(finding: "Finding") -> str:
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file
    remedy = f"\n  {finding.remedy}" if finding.remedy else ""
    return f"{where}: {finding.level}: {finding.says}{remedy}"
