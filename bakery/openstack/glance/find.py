"""What a name stands for in Glance: the base image, its manifest, and the images of every file."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.manifest.manifest import Artifact, ArtifactName, Manifest
from bakery.openstack.glance import embedded, records
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image

RAW_FORMATS = frozenset({"raw", "aki", "ari", "ami"})
QCOW2 = "qcow2"
LISTED = 10


@dataclass(frozen=True)
class Part:
    """A file of the build and the image that holds it."""

    name: ArtifactName
    file: str
    artifact: Artifact
    image: Image

    @property
    def is_raw(self) -> bool:
        """Whether the image's bytes are the file's; else they are a qcow2 image of it."""
        return self.image.disk_format in RAW_FORMATS


@dataclass(frozen=True)
class Published:
    """A build as Glance holds it; `text` is its manifest, byte for byte."""

    base: Image
    text: bytes
    manifest: Manifest
    parts: tuple[Part, ...]


def published(images: Images, name_or_id: str) -> Published:
    """The build that is published under this name or base image id. Raises BakeryError."""
    base = base_image(images, name_or_id)
    what = f"image {base.name or base.id} ({base.id})"
    try:
        text = embedded.unpack(base.properties)
    except BakeryError as error:
        raise BakeryError(f"{what}: {error.message}", error.hint) from error
    told = manifest.decode(text, f"the manifest of {what}")
    return Published(base, text, told, tuple(_part(images, base, told, n) for n in told.artifacts))


def base_image(images: Images, name_or_id: str) -> Image:
    """The active base image of this name or id; hidden ones are found by id alone."""
    known = images.get(name_or_id) if is_id(name_or_id) else None
    found = [known] if known else images.named(name_or_id)
    if not found:
        raise BakeryError(
            f"no image is called {name_or_id!r} on this cloud",
            "bakery images lists what is published; one that is hidden is named by its id",
        )
    bases = [image for image in found if image.role == records.BASE]
    if not bases:
        raise _not_a_base(name_or_id, found[0])
    active = [image for image in bases if image.status == records.ACTIVE]
    if not active:
        raise BakeryError(
            f"image {name_or_id} ({bases[0].id}) is {bases[0].status}: its upload was not finished",
            "finish it with the same bakery upload command",
        )
    if len(active) > 1:
        raise BakeryError(
            f"{len(active)} images are called {name_or_id!r}: {_listed(active)}",
            "name one of them by its id",
        )
    return active[0]


def _part(images: Images, base: Image, told: Manifest, name: ArtifactName) -> Part:
    artifact = told.artifacts[name]
    image = base if name == records.BASE else _linked(images, base, name, artifact)
    part = Part(name, told.file(name), artifact, image)
    what = f"the {name} of {base.name or base.id} ({image.id})"
    if not is_id(image.id):  # it becomes a file's name
        raise BakeryError(f"{what}: its id is not one that Glance gives out")
    if image.status != records.ACTIVE:
        raise BakeryError(
            f"{what} is {image.status}: it has no bytes to give",
            "upload the build again from its folder",
        )
    if not part.is_raw and image.disk_format != QCOW2:
        raise BakeryError(
            f"{what} has the disk format {image.disk_format!r}, which bakery does not use"
        )
    if not _can_hold(part):
        raise BakeryError(
            f"{what} is not the one that was published: "
            f"{image.size_bytes} bytes, not {artifact.size_bytes}",
            "upload the build again from its folder",
        )
    return part


def _can_hold(part: Part) -> bool:
    """Whether the image has a size that fits. A qcow2 of nothing but data has 0.02 % of tables."""
    size, told = part.image.size_bytes or 0, part.artifact.size_bytes
    return size == told > 0 if part.is_raw else 0 < size <= told + told // 64 + (4 << 20)


def _linked(images: Images, base: Image, name: ArtifactName, artifact: Artifact) -> Image:
    """The kernel or ramdisk the base links to, or another published image of the same bytes."""
    ids = [base.properties[key] for key in records.LINKS[name] if base.properties.get(key)]
    linked = images.get(ids[0]) if ids and is_id(ids[0]) else None
    if linked is not None:
        return linked
    for image in images.with_property(records.DIGEST, artifact.digest):
        if image.role == name and image.status == records.ACTIVE:
            return image
    gone = f"image {ids[0][:64]} no longer exists" if ids else "the base does not link to one"
    raise BakeryError(
        f"the {name} of {base.name or base.id} is gone from this cloud: {gone}",
        "upload the build again from its folder; bakery images shows what else is broken",
    )


def _not_a_base(name: str, image: Image) -> BakeryError:
    if image.role:
        return BakeryError(
            f"image {name} ({image.id}) is only the {image.role} of a build",
            "name the build's base: bakery images lists them",
        )
    return BakeryError(
        f"image {name} ({image.id}) was not published by bakery: it carries no manifest",
        "only what bakery upload published can be downloaded as a build",
    )


def _listed(found: Sequence[Image]) -> str:
    shown = [f"{image.id} of {image.created_at}" for image in found[:LISTED]]
    return ", ".join(shown) + (", …" if len(found) > LISTED else "")


def is_id(text: str) -> bool:
    """Whether it is a UUID as Glance writes one."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
