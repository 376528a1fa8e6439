"""What nothing refers to any more: kernels and ramdisks without a base, uploads that died.

An image is removed only if it is bakery's and of our own project. Whatever an image that stays
refers to stays, whoever made that image; and so does what images may refer to that we cannot see.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from bakery.openstack.connection import CloudError
from bakery.openstack.glance import health, records
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image

SEEN_BY_OTHERS = frozenset({"public", "community", "shared"})


class Doomed(msgspec.Struct, frozen=True):
    """An image that would be removed, and why."""

    id: str
    name: str
    role: str
    status: str
    size_bytes: int | None
    why: str


class Spared(msgspec.Struct, frozen=True):
    """An image that nothing we see refers to, and why it stays all the same."""

    id: str
    name: str
    role: str
    why: str


class Unused(msgspec.Struct, frozen=True):
    """What a prune would remove and spare."""

    doomed: tuple[Doomed, ...]
    spared: tuple[Spared, ...]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may be removed at all: nothing younger than `older_than`; hidden bases on demand."""

    older_than: timedelta = health.STUCK_AFTER
    hidden: bool = False


def find_unused(images: Images, bounds: Bounds, now: datetime | None = None) -> Unused:
    """What nothing refers to now."""
    every = images.all()
    own = [image for image in every if image.role and image.owner == images.project]
    moment = now or datetime.now(UTC)
    reasons = {image.id: why for image in own if (why := _own_reason(image, bounds, moment))}
    kept = _referred(i for i in every if i.protected or i.id not in reasons)
    for image in own:
        unused = image.role in records.LINKS and image.id not in kept
        if unused and health.is_older(image, moment, bounds.older_than):
            reasons.setdefault(image.id, f"no base refers to this {image.role}")
    doomed = [image for image in own if image.id in reasons and image.id not in kept]
    spared = {image.id: why for image in doomed if (why := _spare_reason(image))}
    return Unused(
        tuple(
            Doomed(i.id, i.name, i.role, i.status, i.size_bytes, reasons[i.id])
            for i in doomed
            if i.id not in spared
        ),
        tuple(Spared(i.id, i.name, i.role, spared[i.id]) for i in doomed if i.id in spared),
    )


def remove(images: Images, doomed: Sequence[Doomed], bounds: Bounds) -> list[Doomed]:
    """Remove those of `doomed` that nothing refers to still; those that are gone then.

    Bases go first, so that no base is ever left with a link into nothing. One that another run
    removed meanwhile counts as removed. Raises CloudError that says what was removed so far.
    """
    still = {one.id for one in find_unused(images, bounds).doomed}
    gone: list[Doomed] = []
    for one in sorted(doomed, key=lambda one: one.role != records.BASE):
        try:
            if one.id in still:
                _delete(images, one.id)
            if one.id in still or images.get(one.id) is None:
                gone.append(one)
        except CloudError as error:
            raise error.knowing(
                "removed so far: " + (", ".join(other.id for other in gone) or "nothing")
            ) from error
    return gone


def _delete(images: Images, image_id: str) -> None:
    """Delete an image; what another run deletes at the same moment Glance may call an error."""
    try:
        images.delete(image_id)
    except CloudError:
        if images.get(image_id) is not None:
            raise


def _own_reason(image: Image, bounds: Bounds, now: datetime) -> str:
    """Why an image can go whose own state says so, or nothing."""
    if health.is_stuck(image, now, bounds.older_than):
        return f"its upload died: {image.status} since {image.updated_at}"
    if bounds.hidden and image.hidden and image.role == records.BASE:
        return "it is hidden: another one took its place"
    return ""


def _spare_reason(image: Image) -> str:
    """Why an image that nothing we see refers to stays, or nothing."""
    if image.protected:
        return "it is protected: openstack image set --unprotect, then prune again"
    if image.role in records.LINKS and image.visibility in SEEN_BY_OTHERS:
        return (
            f"it is {image.visibility}: images of other projects may refer to it; "
            "openstack image delete removes it"
        )
    return ""


def _referred(staying: Iterable[Image]) -> set[str]:
    """The ids that images refer to by any of the properties a kernel or ramdisk is named in."""
    names = [name for pair in records.LINKS.values() for name in pair]
    return {
        image.properties[name].lower()
        for image in staying
        for name in names
        if image.properties.get(name)
    }
