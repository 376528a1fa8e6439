"""The sign of life of a publisher: while it sends, a property of the image keeps moving.

Another publisher of the same build can then tell an upload that goes on from one whose sender
died. Glance writes an image's record whole, status included, so an update must never cross the
end of an upload: `finish` is called before the last bytes go, and returns when all is quiet.
"""

import contextlib
import threading
from typing import Self

from bakery.openstack.connection import CloudError
from bakery.openstack.glance import records
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image

INTERVAL_SECONDS = 10.0
WHOLE = "whole"
"""What stands behind the numbers once all bytes are sent."""


class Pulse:
    """Keeps `bakery_sent` of `image` moving while bytes are sent, from `with` to `finish`."""

    def __init__(
        self,
        images: Images,
        image: Image,
        total_bytes: int,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self.sent_bytes = 0
        self._images = images
        self._image = image
        self._total = total_bytes
        self._beats = 0
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop()

    def finish(self) -> None:
        """No update is under way when this returns, and none will be.

        An upload that took long is marked as sent whole: its store may now take long as well.
        """
        self._stop()
        if self._beats:
            self._beat(self._total, WHOLE)

    def _stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._beat(self.sent_bytes)

    def _beat(self, sent_bytes: int, *more: str) -> None:
        with contextlib.suppress(CloudError):  # the sending itself will tell what is wrong
            self._beats += 1
            words = (str(sent_bytes), str(self._beats), *more)
            said = {records.SENT: " ".join(words)}
            self._image = self._images.update(self._image, properties=said)


def sent_bytes(image: Image) -> int:
    """How far the publisher of an image says it is; 0 where it says nothing that makes sense."""
    first = image.properties.get(records.SENT, "").partition(" ")[0]
    return int(first) if first.isascii() and first.isdigit() and len(first) < 20 else 0


def is_whole(image: Image) -> bool:
    """Whether the publisher of an image has said that all bytes are sent."""
    return image.properties.get(records.SENT, "").endswith(f" {WHOLE}")
