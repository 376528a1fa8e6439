"""What bakery published on a cloud, what links to what, and what is wrong with it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.manifest.manifest import Manifest
from bakery.openstack.glance import embedded, records
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image

STUCK_AFTER = timedelta(hours=1)
"""An upload says that it lives many times a minute; one that was silent for so long is dead."""


class ImageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """An image that bakery published. `problems` is empty where all is well with it."""

    id: str
    name: str
    role: str
    shape: str
    """`ami`, `partition` or `whole-disk` on a base; the disk format on its companions."""
    status: str
    size_bytes: int | None
    hidden: bool
    visibility: str
    owner: str
    created_at: str
    links: dict[str, str]
    """On a base: kernel and ramdisk, by id."""
    problems: tuple[str, ...]


def entries(images: Images, now: datetime | None = None) -> list[ImageHealth]:
    """All that bakery published and we can see, each base followed by what it links to."""
    published = images.published()
    found = {image.id: image for image in published}
    for image in published:
        for linked in links(image).values():
            if linked not in found and (other := images.get(linked)) is not None:
                found[linked] = other
    listed = [_entry(image, found, now or datetime.now(UTC)) for image in published]
    return sorted(listed, key=lambda entry: _place(entry, listed))


def links(image: Image) -> dict[str, str]:
    """The ids of kernel and ramdisk that an image names, by role; a whole disk's too."""
    named = {
        role: next((image.properties[key] for key in keys if image.properties.get(key)), "")
        for role, keys in records.LINKS.items()
    }
    return {role: image_id for role, image_id in named.items() if image_id}


def is_stuck(image: Image, now: datetime, after: timedelta = STUCK_AFTER) -> bool:
    """Whether its upload was begun, not finished, and has been silent for `after`."""
    return image.status in (records.QUEUED, "killed", *records.UNDER_WAY) and is_older(
        image, now, after
    )


def is_older(image: Image, now: datetime, than: timedelta) -> bool:
    """Whether nothing was written to the image's record for that long."""
    changed = moment(image.updated_at) or moment(image.created_at)
    return changed is not None and now - changed >= than


def moment(text: str) -> datetime | None:
    """A time as Glance writes it (ISO 8601, UTC), or None."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _entry(image: Image, found: Mapping[str, Image], now: datetime) -> ImageHealth:
    return ImageHealth(
        id=image.id,
        name=image.name,
        role=image.role,
        shape=image.properties.get(records.SHAPE, "") or image.disk_format,
        status=image.status,
        size_bytes=image.size_bytes,
        hidden=image.hidden,
        visibility=image.visibility,
        owner=image.owner,
        created_at=image.created_at,
        links=links(image),
        problems=tuple(_problems(image, found, now)),
    )


def _problems(image: Image, found: Mapping[str, Image], now: datetime) -> Iterable[str]:
    if is_stuck(image, now):
        yield f"stuck: {image.status} since {image.updated_at}"
    elif image.status != records.ACTIVE:
        yield f"not finished: {image.status}"
    if _hash_differs(image):
        yield "digest differs: Glance's hash is not the one that was sent"
    if image.role != records.BASE:
        return
    try:
        told: Manifest | None = manifest.decode(embedded.unpack(image.properties), "it")
    except BakeryError as error:
        told = None
        yield f"no manifest: {error.message}"
    if told and told.artifacts["base"].digest != image.properties.get(records.DIGEST):
        yield "digest differs: it is not the base of its manifest"
    yield from _link_problems(image, told, found)


def _hash_differs(image: Image) -> bool:
    sent = image.properties.get(records.SHA512)
    return bool(sent and image.hash_algo == "sha512" and image.hash_value not in ("", sent))


def _link_problems(
    image: Image, told: Manifest | None, found: Mapping[str, Image]
) -> Iterable[str]:
    linked = links(image)
    for role in records.LINKS:
        artifact = told.artifacts.get(role) if told else None  # type: ignore[call-overload]
        other = found.get(linked.get(role, ""))
        if role not in linked:
            if artifact is not None and image.status == records.ACTIVE:
                yield f"{role} is not linked"
        elif other is None:
            yield f"{role} gone: {linked[role]} is not there"
        elif other.status != records.ACTIVE:
            yield f"{role} {other.id} is {other.status}"
        elif artifact and other.properties.get(records.DIGEST) not in (None, artifact.digest):
            yield f"digest differs: {role} {other.id} is not the one of its manifest"


def _place(entry: ImageHealth, listed: list[ImageHealth]) -> tuple[str, str, int]:
    """Bases by name and age, companions behind the first base that links to them."""
    order = (records.BASE, records.KERNEL, records.RAMDISK)
    rank = order.index(entry.role) if entry.role in order else len(order) - 1
    base = entry
    if rank:
        linking = [one for one in listed if entry.id in one.links.values()]
        base = min(linking, key=lambda one: (one.name, one.created_at), default=entry)
    return (base.name, base.created_at + base.id, rank)
