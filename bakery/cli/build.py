"""`bakery build`, and the options that it shares with `bakery plan`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.cli.options import Output, output

if TYPE_CHECKING:
    from bakery.choice import Options
    from bakery.manifest import Build

LAYOUTS = click.Choice(["pv", "lv", "disk"])
ENGINES = click.Choice(["auto", "direct", "guestfs"])


def build_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options that say what to build; handed on as IMAGE, DIR and Options."""
    for option in reversed(
        (
            click.argument("image", type=click.Path(path_type=Path)),
            click.option(
                "-o",
                "--output",
                "directory",
                type=click.Path(path_type=Path),
                help="Folder for the build.  [default: the image's name without its suffix]",
            ),
            click.option("--name", help="NAME of the files.  [default: from the image]"),
            click.option(
                "--layout", type=LAYOUTS, help="What the base is.  [default: pv, else lv]"
            ),
            click.option(
                "--engine",
                type=ENGINES,
                default="auto",
                show_default=True,
                help="How to get at the image's files.",
            ),
            click.option(
                "--deployment",
                type=int,
                metavar="N",
                help="Boot entry to build, 0 is what the boot loader takes.",
            ),
            click.option(
                "--karg-append",
                multiple=True,
                metavar="ARG",
                help="Add a kernel argument (may be repeated).",
            ),
            click.option(
                "--karg-delete",
                multiple=True,
                metavar="ARG",
                help="Take a kernel argument out, as KEY or KEY=VALUE (may be repeated).",
            ),
            click.option(
                "--sha256",
                is_flag=True,
                help="Record the whole base's sha256 too; reads its holes as zeros.",
            ),
            click.option(
                "--compress",
                type=click.Choice(["zstd"]),
                help="Write the base as NAME-base.zst as well, with an index and a block map.",
            ),
        )
    ):
        function = option(function)
    return function


def options_of(given: dict[str, object]) -> "Options":
    """The `Options` of what was given on the command line."""
    import msgspec

    from bakery.choice import Options

    return msgspec.convert(given | {"compress": given["compress"] or ""}, Options)


def folder_of(image: Path, directory: Path | None) -> Path:
    """Where the build goes when nothing is said: beside nobody, in a folder of its own."""
    return directory if directory is not None else Path(image.stem or "build")


@click.command("build", short_help="Kernel, ramdisk, base and manifest of an image.")
@build_options
@output
def command(out: Output, image: Path, directory: Path | None, **given: object) -> None:
    """Make kernel, ramdisk and base of IMAGE, and a manifest that says what they are.

    The image itself is never written. A second run does only what is missing.
    """
    from bakery import plan

    build, fresh = plan.build(image, options_of(given), folder_of(image, directory), out.report)
    _show(out, build, fresh=fresh)


def _show(out: Output, build: "Build", *, fresh: bool) -> None:
    from bakery.manifest import PACKED

    manifest = build.manifest
    if not fresh:
        out.print(f"{build.directory} is up to date: nothing to do")
    for name in manifest.artifacts:
        size = manifest.artifacts[name].size_bytes
        data = sum(extent.length for extent in manifest.artifacts[name].extents)
        out.print(f"{build.directory / manifest.file(name)}  {_bytes(size)}, data {_bytes(data)}")
    for path in (build.directory / f"{manifest.name}-{name}" for name in PACKED):
        if path.exists():
            out.print(f"{path}  {_bytes(path.stat().st_size)}")
    if manifest.kernel_args:
        out.print(f"kernel arguments: {' '.join(manifest.kernel_args)}")
    out.document({"directory": str(build.directory), "fresh": fresh, "manifest": manifest})


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
