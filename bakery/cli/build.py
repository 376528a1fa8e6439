"""`bakery build`, and the options that it shares with `bakery plan`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from bakery.cli.options import LUKS_KEY, PATH, Output, means_of, output, reads_images, several
from bakery.cli.upload import publish_build

if TYPE_CHECKING:
    from bakery.build.recipe.request import Asked
    from bakery.build.spec import Options
    from bakery.manifest.manifest import Build

ENGINE = click.option(
    "--engine",
    type=click.Choice(["auto", "direct", "guestfs"]),
    default="auto",
    help="How to access the image's files.",
)
# Where to, and by what, is a matter of the machine; what is built is the recipe's alone.
BESIDE_A_RECIPE = (
    "image",
    "directory",
    "engine",
    "luks_key_file",
    "publish",
    "as_json",
    "verbose",
    "quiet",
    "unconfined",
    "allow_outside",
)

build_options = several(
    click.argument("image", metavar="IMAGE|RECIPE.toml", type=PATH),
    click.option(
        "-o",
        "--output",
        "directory",
        type=PATH,
        help="Output folder.  [default: the image's name without its suffix]",
    ),
    click.option("--name", help="NAME of the files.  [default: from the image]"),
    click.option(
        "--layout",
        type=click.Choice(["pv", "lv", "disk"]),
        help="Layout of the base.  [default: pv if possible, otherwise lv]",
    ),
    ENGINE,
    LUKS_KEY,
    click.option(
        "--deployment",
        type=click.IntRange(0),
        metavar="N",
        help="Boot entry to build; 0 is the boot loader's default.",
    ),
    click.option(
        "--karg-append", multiple=True, metavar="ARG", help="Add a kernel argument (repeatable)."
    ),
    click.option(
        "--karg-delete",
        multiple=True,
        metavar="ARG",
        help="Remove a kernel argument, KEY or KEY=VALUE (repeatable).",
    ),
    click.option(
        "--without",
        multiple=True,
        metavar="PATH",
        help="Leave behind what is mounted there, which the layout does not carry (repeatable).",
    ),
    click.option(
        "--sha256",
        is_flag=True,
        help="Also record the SHA-256 of the whole base, holes read as zeros.",
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
        help="Write a bill of materials of the image (repeatable).",
    ),
    click.option(
        "--allow-outside", is_flag=True, help="Let a recipe name files outside its own folder."
    ),
)
"""What to build; handed on as IMAGE, DIR and the fields of Options."""


def asked_of(image: Path, directory: Path | None, given: dict[str, object]) -> "Asked":
    """What is to be built: as the recipe says where there is one, else as the options say."""
    from bakery.build.recipe.request import Asked, is_recipe

    allow_outside = bool(given.pop("allow_outside"))
    if is_recipe(image):
        return _recipe(image, directory, allow_outside=allow_outside)
    # When nothing is said: beside nobody, in a folder of its own.
    output = directory if directory is not None else Path(image.stem or "build")
    return Asked(image, output, _options(given))


def _recipe(path: Path, directory: Path | None, *, allow_outside: bool) -> "Asked":
    from dataclasses import replace

    import msgspec

    from bakery.build.recipe.read import read

    given = _given()
    refused = [option for name, option in given.items() if name not in BESIDE_A_RECIPE]
    if refused:
        raise click.UsageError(
            f"{refused[0]} cannot be used with a recipe: {path} says what is built"
        )
    asked = read(path, allow_outside=allow_outside)
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

    from bakery.build.spec import Options

    sbom = sorted(set(given["sbom"]))  # type: ignore[call-overload]
    return msgspec.convert(given | {"compress": given["compress"] or "", "sbom": sbom}, Options)


@click.command("build", short_help="Build kernel, ramdisk and base from an image.")
@build_options
@click.option("--publish", is_flag=True, help="Publish the build where the recipe says.")
@reads_images
@output
def command(
    out: Output,
    image: Path,
    directory: Path | None,
    *,
    publish: bool,
    luks_key_file: Path | None,
    **given: object,
) -> None:
    """Build kernel, ramdisk and base from IMAGE, with a manifest that describes them.

    A RECIPE.toml names the image and everything else (docs/recipe.md); only -o and --engine can
    be given with one. The image itself is never written. A second run only does what is missing.
    """
    from bakery.build.build import build

    asked = asked_of(image, directory, given)
    if publish and not asked.publish:
        raise click.UsageError(f"--publish: {image} has no [[publish]] section")
    means = means_of(luks_key_file)
    made, fresh = build(asked.image, asked.options, asked.output, out.report, means)
    _show(out, made, fresh=fresh)
    document = {"directory": made.directory, "fresh": fresh, "manifest": made.manifest}
    if publish:
        places = asked.publish
        document["published"] = [publish_build(out, made.directory, place) for place in places]
    out.document(document)


def _show(out: Output, build: "Build", *, fresh: bool) -> None:
    from bakery.manifest.manifest import PACKED

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
