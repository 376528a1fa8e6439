"""What a build becomes in the image service: up to three images, by the shape that is asked for.

| shape | kernel, ramdisk | base |
|---|---|---|
| `ami` | aki, ari | raw bytes as ami, `kernel_id` and `ramdisk_id` on it |
| `partition` | aki, ari | raw or qcow2, bare, with the two ids (TripleO's shape) |
| `whole-disk` | aki, ari where the build has them | raw or qcow2, bare, without the two ids |

On a whole disk `kernel_id` would make a partition image of it; there the ids have other names.
"""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError, UsageError
from bakery.manifest.manifest import ArtifactName, Build, Layout, Manifest
from bakery.openstack.glance import embedded, records
from bakery.system import kargs

Shape = Literal["ami", "partition", "whole-disk"]
Visibility = Literal["private", "shared", "public"]

NAMESPACE = uuid.UUID("0f6b7a52-6a0e-5d0c-9b0b-3d5f0f2f4a11")
GIB = 1 << 30
NAME_LIMIT = 255
VALUE_LIMIT_BYTES = 65_535
"""Glance keeps a property's value in a column of MySQL's type TEXT."""
RESERVED = frozenset(
    {records.KERNEL_ID, records.RAMDISK_ID, records.COMMAND_LINE, *records.STANDARD}
)
RESERVED_PREFIXES = (records.OWN_PREFIX, "os_glance_")
ROLE_FORMATS = {records.KERNEL: "aki", records.RAMDISK: "ari"}


class PublishOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller asks for; empty means: as the build suggests."""

    shape: Shape | None = None
    name: str = ""
    disk_format: Literal["", "raw", "qcow2"] = ""
    compress: bool = False
    properties: dict[str, str] = {}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One image to be: `size_bytes` and `digest` are those of `file`, as the manifest has them."""

    role: ArtifactName
    name: str
    file: Path
    size_bytes: int
    digest: str
    disk_format: str
    container_format: str
    compress: bool = False
    min_disk_gib: int = 0
    properties: dict[str, str] = {}

    @property
    def converted(self) -> bool:
        """Whether what is sent is made of the file first."""
        return self.disk_format == "qcow2"

    def image_id(self, project: str, generation: int) -> str:
        """The id that says what this image is (RFC 4122, version 5).

        `generation` counts on where Glance has given an id already and its image was deleted.
        """
        form = f"{self.disk_format}/{self.container_format}/{'zlib' if self.compress else ''}"
        words = (project, self.name, self.role, form, self.digest, str(generation))
        return str(uuid.uuid5(NAMESPACE, "\n".join(words)))


class Parts(msgspec.Struct, frozen=True):
    """The images a build becomes; `companions` are kernel and ramdisk, and come first."""

    shape: Shape
    companions: tuple[Piece, ...]
    base: Piece

    def links(self, ids: Mapping[str, str]) -> dict[str, str]:
        """The properties by which the base names its companions; `ids` are theirs, by role."""
        which = 1 if self.shape == "whole-disk" else 0
        return {records.LINKS[role][which]: image_id for role, image_id in ids.items()}


def parts(build: Build, manifest_bytes: bytes, options: PublishOptions) -> Parts:
    """The images to be. BakeryError where the build cannot take the shape that is asked for."""
    manifest = build.manifest
    shape = options.shape or ("whole-disk" if manifest.layout == "disk" else "ami")
    refuse_shape(manifest.layout, shape)
    name = check_name(options.name or manifest.name)
    check_properties(options.properties)
    companions = tuple(
        _companion(build, role, name)
        for role in ("kernel", "ramdisk")
        if role in manifest.artifacts  # a whole disk may have neither
    )
    return Parts(shape, companions, _base(build, manifest_bytes, options, shape, name))


def check_name(name: str) -> str:
    """The name, if Glance and everyone behind it can take it; else UsageError."""
    longest = NAME_LIMIT - len("-ramdisk")
    _check_text(name, "the name", longest)
    if not name or name != name.strip():
        raise UsageError(f"the name {name!r} is empty or begins or ends with a blank")
    return name


def check_properties(properties: Mapping[str, str]) -> None:
    """UsageError where a property cannot be set by hand, or not as it is written."""
    for key, value in properties.items():
        _check_text(key, "the property", NAME_LIMIT)
        _check_text(value, f"the value of property {key}", VALUE_LIMIT_BYTES)
        if not key or key != key.strip():
            raise UsageError(f"the property {key!r} has no name, or blanks around it")
        if key in RESERVED or key.startswith(RESERVED_PREFIXES):
            raise UsageError(
                f"the property {key} is not for --property: its value comes from the build",
                "leave it out; kernel arguments are changed by bakery build --karg-append",
            )


def _check_text(text: str, what: str, limit: int) -> None:
    """Printable, short enough, and within three bytes of UTF-8: MySQL's utf8 holds no more."""
    odd = sorted({c for c in text if not c.isprintable() or ord(c) > 0xFFFF})
    if odd:
        shown = ", ".join(f"U+{ord(c):04X}" for c in odd[:5])
        raise UsageError(f"{what} {text[:64]!r} holds characters Glance does not take: {shown}")
    if len(text.encode()) > limit:
        raise UsageError(f"{what} is longer than {limit} bytes: {text[:64]!r}…")


def refuse_shape(layout: Layout, shape: Shape) -> None:
    """BakeryError where a build of this layout cannot be published as that."""
    if layout == "disk" and shape != "whole-disk":
        raise BakeryError(
            f"a build of layout disk cannot be published as {shape}: it boots by itself, and with "
            "a kernel_id Ironic would take it for a partition",
            "publish it --as whole-disk, or build it with --layout pv or lv",
        )
    if layout != "disk" and shape == "whole-disk":
        raise BakeryError(
            f"a build of layout {layout} cannot be published as whole-disk: it has no "
            "partition table and no boot loader of its own",
            "publish it --as ami or --as partition, or build it with --layout disk",
        )


def _companion(build: Build, role: ArtifactName, name: str) -> Piece:
    artifact = build.manifest.artifacts[role]
    form = ROLE_FORMATS[role]
    said = {
        records.ROLE: role,
        records.DIGEST: artifact.digest,
        records.ARCHITECTURE: build.manifest.architecture,
    }
    if build.manifest.deployment:
        said[records.KERNEL_VERSION] = build.manifest.deployment.kernel_version
    return Piece(
        role=role,
        name=f"{name}-{role}",
        file=build.directory / build.manifest.file(role),
        size_bytes=artifact.size_bytes,
        digest=artifact.digest,
        disk_format=form,
        container_format=form,
        properties=_told(said),
    )


def _base(
    build: Build, manifest_bytes: bytes, options: PublishOptions, shape: Shape, name: str
) -> Piece:
    artifact = build.manifest.artifacts["base"]
    form, container = formats(options, shape)
    said = _base_properties(build.manifest, shape) | embedded.pack(manifest_bytes)
    said[records.DIGEST] = artifact.digest
    return Piece(
        role="base",
        name=name,
        file=build.base,
        size_bytes=artifact.size_bytes,
        digest=artifact.digest,
        disk_format=form,
        container_format=container,
        compress=options.compress,
        min_disk_gib=-(-artifact.size_bytes // GIB),
        properties=_told(said) | options.properties,
    )


def formats(options: PublishOptions, shape: Shape) -> tuple[str, str]:
    """The disk and container format of the base. UsageError where the wishes contradict."""
    if shape == "ami":
        if options.disk_format == "qcow2" or options.compress:
            raise UsageError(
                "an ami is raw: --disk-format qcow2 and --compress do not go with it",
                "publish it --as partition",
            )
        return "ami", "ami"
    form = options.disk_format or "qcow2"
    if form == "raw" and options.compress:
        raise UsageError("--compress needs --disk-format qcow2: raw bytes are sent as they are")
    return form, "bare"


def _base_properties(manifest: Manifest, shape: Shape) -> dict[str, str]:
    said = {
        records.ROLE: records.BASE,
        records.SHAPE: shape,
        records.SOURCE_DIGEST: manifest.source.digest,
        records.LAYOUT: manifest.layout,
        records.KEY: manifest.key,
        records.DISTRO: manifest.distro,
        records.ARCHITECTURE: manifest.architecture,
    }
    if manifest.deployment:
        said |= {
            records.STATEROOT: manifest.deployment.stateroot,
            records.DEPLOYMENT: manifest.deployment.checksum or manifest.deployment.id,
            records.KERNEL_VERSION: manifest.deployment.kernel_version,
        }
    if shape != "whole-disk":  # that one boots with the arguments of its own boot loader
        said[records.COMMAND_LINE] = kargs.join(manifest.kernel_args)
    if len(manifest.firmware) == 1:  # one that boots by either needs no word about it
        said[records.FIRMWARE] = manifest.firmware[0]
    return said


def _told(properties: Mapping[str, str]) -> dict[str, str]:
    """Those that say something, each checked: deployment ids and the like come out of an image."""
    told = {key: value for key, value in properties.items() if value}
    for key, value in told.items():
        _check_text(value, f"the value of property {key}", VALUE_LIMIT_BYTES)
    return told
