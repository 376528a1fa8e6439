"""An image service in memory, for what depends on the clock alone; the real one is in tests/e2e."""

from bakery.cloud.images import Images
from bakery.cloud.records import Image


class MemoryImages(Images):
    """Answers as bakery.cloud.images.Images does, of a list."""

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
