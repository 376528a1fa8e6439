"""An image service in memory, for what depends on the clock alone; the real one is in tests/e2e."""

from collections.abc import Iterable
from typing import Any

from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image


class MemoryImages(Images):
    """Answers as bakery.openstack.glance.images.Images does, of a list."""

    def __init__(self, *images: Image) -> None:
        self.project = "ours"
        self.images = {image.id: image for image in images}

    def published(self) -> list[Image]:
        return [image for image in self.images.values() if image.role]

    def all(self) -> list[Image]:
        return list(self.images.values())

    def get(self, image_id: str) -> Image | None:
        return self.images.get(image_id)

    def delete(self, image_id: str) -> None:
        self.images.pop(image_id, None)


class Told(MemoryImages):
    """One image `i`, which is at each look as the next of `states` says; the last for ever.

    A state is a status, the fields of an image, an error, or None where the image is gone.
    `sending` is raised where bytes are sent, which are all taken.
    """

    def __init__(self, *states: Any, sending: Exception | None = None) -> None:
        super().__init__()
        self.states = list(states)
        self.sending = sending
        self.sent: list[bytes] = []
        self.changes: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.looks = 0

    def get(self, image_id: str) -> Image | None:
        self.looks += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, Exception):
            raise state
        return state if state is None else told(state)

    def delete(self, image_id: str) -> None:
        self.deleted.append(image_id)

    def send(self, image_id: str, body: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self.sent.append(b"".join(body))
        if self.sending:
            raise self.sending

    def update(self, image: Image, **changes: Any) -> Image:
        self.changes.append(changes)
        return image

    def add_location(self, image_id: str, url: str, *_: object, **more: Any) -> None:
        self.changes.append({"url": url, **more})


def told(state: Any) -> Image:
    """The image `i` in a state, as Told has them."""
    return Image(id="i", **({"status": state} if isinstance(state, str) else state))
