"""`bakery upload`: a build into the image service."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import CLOUD, Output, output
from bakery.pool import Pool

if TYPE_CHECKING:
    from bakery.cloud.images import Images
    from bakery.cloud.pieces import Parts, Wish
    from bakery.cloud.publish import Outcome, Published
    from bakery.cloud.target import Target
    from bakery.manifest import Build
    from bakery.workdir import Stamp


@click.command("upload", short_help="Publish a build to Glance: aki, ari, ami.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@CLOUD
@click.option(
    "--as",
    "shape",
    type=click.Choice(["ami", "partition", "whole-disk"]),
    help="What the base becomes.  [default: whole-disk for layout disk, else ami]",
)
@click.option("--name", default="", help="Name of the image.  [default: the build's]")
@click.option("--public", "visibility", flag_value="public", help="Everyone may use it.")
@click.option("--shared", "visibility", flag_value="shared", help="Its members may use it.")
@click.option(
    "--private", "visibility", flag_value="private", help="This project alone.  [default]"
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="K=V",
    help="A property of the base (may be repeated).",
)
@click.option(
    "--disk-format",
    type=click.Choice(["raw", "qcow2"]),
    default=None,
    help="Of a partition or a whole disk.  [default: qcow2]",
)
@click.option("--compress", is_flag=True, help="Compress the qcow2.")
@click.option("--replace", is_flag=True, help="Hide older images of this name afterwards.")
@click.option(
    "--store", metavar="rbd:POOL", help="Write the base into Ceph; Glance is told where it is."
)
@output
def command(out: Output, directory: Path, cloud: str | None, **given: object) -> None:
    """Publish the build in DIR: kernel, ramdisk and base as images that name each other.

    A second run sends nothing that is there; one that was stopped is finished by the next.
    """
    from bakery.cloud.target import Target

    target = Target(
        cloud=cloud,
        shape=given["shape"],  # type: ignore[arg-type]
        name=str(given["name"]),
        visibility=given["visibility"] or None,  # type: ignore[arg-type]
        properties=_properties(given["properties"]),  # type: ignore[arg-type]
        disk_format=given["disk_format"] or "",  # type: ignore[arg-type]
        compress=bool(given["compress"]),
        replace=bool(given["replace"]),
        store=str(given["store"] or ""),
    )
    out.document(publish_build(out, directory, target))


def publish_build(out: Output, directory: Path, target: "Target") -> "Outcome":
    """Publish the build in `directory`, and tell what became of it."""
    from bakery.cloud import publish

    store = target.rbd()
    build, parts = _parts(directory, target.wish())
    images, stamps = _ready(out, build, parts, target.cloud)
    order = publish.Order(
        parts=parts, stamps=stamps, visibility=target.visibility, replace=target.replace
    )
    outcome = publish.publish(images, order, out.report, store)
    _show(out, outcome)
    return outcome


def _properties(words: tuple[str, ...]) -> dict[str, str]:
    properties = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark:
            raise click.UsageError(f"--property {word!r} is not of the form K=V")
        properties[key] = value
    return properties


def _parts(directory: Path, wish: "Wish") -> "tuple[Build, Parts]":
    from bakery import manifest
    from bakery.cloud import pieces

    build, path = manifest.load(directory), manifest.find(directory)
    assert path is not None  # it was just read
    text = path.read_bytes()  # it travels with the base as it stands
    return build, pieces.parts(build, text, wish)


def _ready(
    out: Output, build: "Build", parts: "Parts", cloud: str | None
) -> "tuple[Images, dict[Path, Stamp]]":
    """Log in while the files are looked at; what is wrong with a file is told first."""
    from bakery.cloud import unchanged

    with Pool(1) as pool:
        login = pool.submit(_login, cloud)
        with out.report.step("verify", str(build.directory)):
            stamps = unchanged.verified([*parts.companions, parts.base])
            unchanged.safe(parts.base)
        return login.result(), stamps


def _login(cloud: str | None) -> "Images":
    from bakery.cloud.images import Images

    return Images.of_cloud(cloud)


def _show(out: Output, outcome: "Outcome") -> None:
    for image in outcome.images:
        form = f"{image.role:<8}{image.disk_format:<6}"
        out.print(f"{form}{image.id}  {image.name}  {_what(image)}")
    for image_id in outcome.hidden:
        out.print(f"hidden  {image_id}")
    if outcome.same_name:
        others = ", ".join(outcome.same_name)
        out.print(f"note: other images bear this name: {others}; --replace hides bakery's own")


def _what(image: "Published") -> str:
    if image.sent_bytes:
        return f"sent {image.sent_bytes} bytes"
    return "updated" if image.updated else "up to date"
