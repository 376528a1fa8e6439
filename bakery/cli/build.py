"""`bakery build`, and the options that it shares with `bakery plan`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bakery.cli.options import Output, output
from bakery.cli.upload import publish_build

if TYPE_CHECKING:
    from bakery.choice import Options
    from bakery.manifest import Build
    from bakery.recipe.asked import Asked

LAYOUTS = click.Choice(["pv", "lv", "disk"])
ENGINES = click.Choice(["auto", "direct", "guestfs"])
# Where to, and by what, is a matter of the machine; what is built is the recipe's alone.
BESIDE_A_RECIPE = ("image", "directory", "engine", "publish", "as_json", "verbose", "quiet")


def build_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The argument and options that say what to build; handed on as IMAGE, DIR and Options."""
    for option in reversed(
        (
            click.argument("image", metavar="IMAGE|RECIPE.toml", type=click.Path(path_type=Path)),
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
            click.option(
                "--sbom",
                type=click.Choice(["spdx", "cyclonedx"]),
                multiple=True,
                help="Write down what is installed in the image (may be repeated).",
            ),
        )
    ):
        function = option(function)
    return function


def asked_of(image: Path, directory: Path | None, given: dict[str, object]) -> "Asked":
    """What is to be built: as the recipe says where there is one, else as the options say."""
    from bakery.recipe.asked import Asked, is_recipe

    if is_recipe(image):
        return _recipe(image, directory)
    # When nothing is said: beside nobody, in a folder of its own.
    output = directory if directory is not None else Path(image.stem or "build")
    return Asked(image, output, _options(given))


def _recipe(path: Path, directory: Path | None) -> "Asked":
    from dataclasses import replace

    import msgspec

    from bakery.recipe.read import read

    given = _given()
    refused = [option for name, option in given.items() if name not in BESIDE_A_RECIPE]
    if refused:
        raise click.UsageError(
            f"{refused[0]} does not go with a recipe: {path} alone says what is built"
        )
    asked = read(path)
    if directory is not None:
        asked = replace(asked, output=directory)
    if "engine" in given:
        engine = click.get_current_context().params["engine"]
        asked = replace(asked, options=msgspec.structs.replace(asked.options, engine=engine))
    return asked


def _given() -> dict[str, str]:
    """The options that stand on the command line, by parameter name."""
    context = click.get_current_context()
    return {
        parameter.name: parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def _options(given: dict[str, object]) -> "Options":
    import msgspec

    from bakery.choice import Options

    sbom = sorted(set(given["sbom"]))  # type: ignore[call-overload]
    return msgspec.convert(given | {"compress": given["compress"] or "", "sbom": sbom}, Options)


@click.command("build", short_help="Kernel, ramdisk, base and manifest of an image.")
@build_options
@click.option("--publish", is_flag=True, help="Publish what is built, as the recipe says.")
@output
def command(
    out: Output, image: Path, directory: Path | None, *, publish: bool, **given: object
) -> None:
    """Make kernel, ramdisk and base of IMAGE, and a manifest that says what they are.

    A RECIPE.toml names the image and everything else (docs/recipe.md); beside one there is room
    for -o and --engine alone. The image itself is never written. A second run does only what is
    missing.
    """
    from bakery import plan

    asked = asked_of(image, directory, given)
    if publish and not asked.publish:
        raise click.UsageError(f"--publish: {image} names no place to publish to ([[publish]])")
    build, fresh = plan.build(asked.image, asked.options, asked.output, out.report)
    _show(out, build, fresh=fresh)
    document = {"directory": str(build.directory), "fresh": fresh, "manifest": build.manifest}
    if publish:
        document["published"] = [
            publish_build(out, build.directory, target) for target in asked.publish
        ]
    out.document(document)


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
    for form, document in manifest.sbom.items():
        size = document.size_bytes
        out.print(f"{build.directory / manifest.sbom_file(form)}  {_bytes(size)}")
    if manifest.kernel_args:
        out.print(f"kernel arguments: {' '.join(manifest.kernel_args)}")


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} GiB"
