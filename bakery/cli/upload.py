"""`bakery upload`: a build into the image service."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.cli.options import BUILD, CLOUD, Output, output, reads_images
from bakery.host.pool import Pool

if TYPE_CHECKING:
    from bakery.host.workdir import Stamp
    from bakery.manifest.manifest import Build
    from bakery.openstack.glance.images import Images
    from bakery.openstack.glance.pieces import Parts, PublishOptions
    from bakery.openstack.glance.publish import Published, PublishResult
    from bakery.openstack.glance.target import Target


@click.command("upload", short_help="Publish a build to Glance (aki, ari, ami).")
@BUILD
@CLOUD
@click.option(
    "--as",
    "shape",
    type=click.Choice(["ami", "partition", "whole-disk"]),
    help="Form of the base.  [default: whole-disk for layout disk, else ami]",
)
@click.option("--name", help="Name of the image.  [default: the build's]")
@click.option("--public", "visibility", flag_value="public", help="Visible to everyone.")
@click.option("--shared", "visibility", flag_value="shared", help="Visible to its members.")
@click.option(
    "--private", "visibility", flag_value="private", help="Visible to this project only.  [default]"
)
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="K=V",
    help="Property of the base (repeatable).",
)
@click.option(
    "--disk-format",
    type=click.Choice(["raw", "qcow2"]),
    help="Disk format of a partition or whole-disk image.  [default: qcow2]",
)
@click.option("--compress", is_flag=True, help="Compress the qcow2.")
@click.option("--replace", is_flag=True, help="Hide older images of this name afterwards.")
@click.option(
    "--store",
    metavar="rbd:POOL",
    help="Write the base into Ceph and register its location with Glance.",
)
@reads_images
@output
def command(out: Output, directory: Path, cloud: str | None, **given: object) -> None:
    """Publish the build in DIR: kernel, ramdisk and base as images that refer to each other.

    A second run sends nothing that is already there, and finishes an interrupted one.
    """
    from bakery.openstack.glance.target import Target

    target = Target(
        cloud=cloud,
        shape=given["shape"],  # type: ignore[arg-type]
        name=str(given["name"] or ""),
        visibility=given["visibility"] or None,  # type: ignore[arg-type]
        properties=_properties(given["properties"]),  # type: ignore[arg-type]
        disk_format=given["disk_format"] or "",  # type: ignore[arg-type]
        compress=bool(given["compress"]),
        replace=bool(given["replace"]),
        store=str(given["store"] or ""),
    )
    out.document(publish_build(out, directory, target))


def publish_build(out: Output, directory: Path, target: "Target") -> "PublishResult":
    """Publish the build in `directory`, and tell what became of it."""
    from bakery.openstack.glance import publish

    store = target.rbd()
    build, parts = _parts(directory, target.options())
    images, stamps = _ready(out, build, parts, target.cloud)
    request = publish.PublishRequest(
        parts=parts, stamps=stamps, visibility=target.visibility, replace=target.replace
    )
    result = publish.publish(images, request, out.report, store)
    _show(out, result)
    return result


def _properties(words: tuple[str, ...]) -> dict[str, str]:
    properties = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark:
            raise click.UsageError(f"--property {word!r} is not of the form K=V")
        properties[key] = value
    return properties


def _parts(directory: Path, options: "PublishOptions") -> "tuple[Build, Parts]":
    from bakery.manifest import manifest
    from bakery.openstack.glance import pieces

    build, path = manifest.load(directory), manifest.find(directory)
    assert path is not None  # it was just read
    text = path.read_bytes()  # it travels with the base as it stands
    return build, pieces.parts(build, text, options)


def _ready(
    out: Output, build: "Build", parts: "Parts", cloud: str | None
) -> "tuple[Images, dict[Path, Stamp]]":
    """Log in while the files are looked at; what is wrong with a file is told first."""
    from bakery.openstack.glance import unchanged

    with Pool(1) as pool:
        login = pool.submit(_login, cloud)
        with out.report.step("verify", str(build.directory)):
            stamps = unchanged.verified([*parts.companions, parts.base])
            unchanged.safe(parts.base)
        return login.result(), stamps


def _login(cloud: str | None) -> "Images":
    from bakery.openstack.glance.images import Images

    return Images.of_cloud(cloud)


def _show(out: Output, result: "PublishResult") -> None:
    for image in result.images:
        form = f"{image.role:<8}{image.disk_format:<6}"
        out.print(f"{form}{image.id}  {image.name}  {_what(image)}")
    for image_id in result.hidden:
        out.print(f"hidden  {image_id}")
    if result.same_name:
        others = ", ".join(result.same_name)
        out.print(f"note: other images have this name: {others}; --replace hides bakery's own")


def _what(image: "Published") -> str:
    if image.sent_bytes:
        return f"sent {image.sent_bytes} bytes"
    return "updated" if image.updated else "up to date"
