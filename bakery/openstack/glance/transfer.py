"""The bytes of one piece into one record of Glance, whatever state that record is found in.

`queued` takes the bytes; `saving` belongs to a publisher at work, or to one that died; `active`
is looked at, and is right or is not.

Glance lets two send to one record at the same moment, and then each undoes what the other did
(glance/api/v2/image_data.py: `_restore` sets `queued`, whoever else is saving). So only who made
a record sends at once; others look for a while first whether somebody does, and no record is
written to while another may be sending to it.
"""

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.host.workdir import Stamp
from bakery.openstack.connection import CloudError
from bakery.openstack.glance import body, records, unchanged
from bakery.openstack.glance.convert import as_qcow2
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.pieces import Piece
from bakery.openstack.glance.pulse import Pulse, is_whole, sent_bytes
from bakery.openstack.glance.rate import Rate
from bakery.openstack.glance.records import Image

TURNS = 16
"""How often a record may change its state under us before we say that it does not settle."""


class Patience(msgspec.Struct, frozen=True):
    """Bounds in seconds on waiting for what another publisher, or a server, is at."""

    poll: float = 0.5
    still: float = 90.0
    """An upload that shows no sign of life for so long has lost its sender (see pulse.py)."""
    landing: float = 1800.0
    """The same where all bytes are sent: a store may take long to bring them down."""
    settle: float = 15.0
    """After a failed sending, until the server knows what came of it."""
    grace: tuple[float, float] = (0.7, 2.0)
    """A time between these is spent on looking at a record of others before we send to it."""


class Store(Protocol):
    """A store that takes the base itself, so that Glance is only told where it lies."""

    def put(self, raw_file: Path, image_id: str, progress: Callable[[int, int], None]) -> str:
        """Write the file, and return its URL for Glance."""

    def remove(self, image_id: str) -> None:
        """Take it away again."""


@dataclass
class Transfer:
    """Fills records with the bytes of `piece`, whose file had `stamp` when it was verified.

    `sha512` is that of the image's bytes, once `filled` has returned it and Glance counts sha512.
    """

    images: Images
    piece: Piece
    stamp: Stamp
    step: Step
    store: Store | None
    patience: Patience
    sent_bytes: int = 0
    sha512: str = ""
    _made: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _file: Path | None = None
    _sha512_of_file: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._made.close()

    def prepared(self) -> dict[str, str]:
        """Have the bytes ready to be sent; what can be said of them beforehand.

        A qcow2 is made now, as long as nobody waits for it, and its sha512 is told first: who
        meets such an image later need not convert again to know it.
        """
        if not self.piece.converted:
            return {}
        if self._file is None:
            self.step.note(f"{self.piece.file.name} becomes qcow2")
            self._file = self._made.enter_context(
                as_qcow2(self.piece.file, compress=self.piece.compress, progress=self.step.progress)
            )
            self._sha512_of_file = body.digest(self._file)
        return {records.SHA512: self._sha512_of_file}

    def filled(self, image: Image, *, ours: bool) -> Image | None:
        """The record, active and with the right bytes; None where another must be made.

        `ours` where this run has just made it. Raises BakeryError where the bytes cannot be
        brought there.
        """
        now: Image | None = image
        for _ in range(TURNS):
            if now is None or now.status in records.GONE:
                return None
            if now.status == records.ACTIVE:
                return self._judged(now)
            now, ours = self._advanced(now, ours=ours), False
        raise BakeryError(f"image {image.id} keeps changing: others are working on it too")

    def _advanced(self, image: Image, *, ours: bool) -> Image | None:
        if image.status == records.QUEUED:
            return self._queued(image, ours=ours)
        if image.status in records.UNDER_WAY:
            return self._awaited(image)
        if image.status == "killed":
            self.images.delete(image.id)
            return None
        raise BakeryError(
            f"image {image.id} ({image.name}) is {image.status}",
            "the cloud's operator did that: ask them, or publish under another --name",
        )

    def _queued(self, image: Image, *, ours: bool) -> Image | None:
        if self.store:
            return self._stored(image, self.store)
        said = self.prepared()
        if not ours:
            now = self._looked_at(image)
            if now is None or now.status != records.QUEUED:
                return now
            image = self.images.update(now, properties=said)
        return self._sent(image)

    def _looked_at(self, image: Image) -> Image | None:
        """A queued image of others after a while, or as soon as somebody sends to it."""
        seconds = random.uniform(*self.patience.grace)  # noqa: S311 - no secret
        return self._left(image, seconds, min(self.patience.poll, 0.2))

    def _left(self, image: Image | None, seconds: float, poll_seconds: float) -> Image | None:
        """An image as soon as it is not queued any more, or after so long."""
        end = time.monotonic() + seconds
        while image is not None and image.status == records.QUEUED and time.monotonic() < end:
            time.sleep(poll_seconds)
            image = self.images.get(image.id)
        return image

    def _judged(self, image: Image) -> Image | None:
        """An active image, if its bytes are those of the piece; nothing is deleted that is not."""
        if self._is_right(image):
            self.sha512 = image.hash_value if image.hash_algo == "sha512" else ""
            return image
        self.step.note(f"image {image.id} has our id but other content: left alone")
        return None

    def _is_right(self, image: Image) -> bool:
        known = image.properties.get(records.SHA512)
        converted = self.piece.converted
        if not converted and image.size_bytes != self.piece.size_bytes:
            return False
        if self.store and not image.hash_value:
            return True  # a location given without digests: nobody has counted them
        if image.hash_algo == "sha512" and known == image.hash_value:
            return True
        if converted or not image.hash_algo:
            return False
        self.step.note(f"counting the {image.hash_algo} of {self.piece.file.name}")
        progress = self.step.progress
        return body.digest(self.piece.file, image.hash_algo, progress) == image.hash_value

    def _sent(self, image: Image) -> Image | None:
        file = self._file or self.piece.file
        rate = Rate(file.stat().st_size)
        pulse = Pulse(self.images, image, rate.total_bytes)

        def progress(done: int, total: int) -> None:
            pulse.sent_bytes = done
            self.step.progress(done, total, rate.at(done))

        content = body.Body(file, progress, pulse.finish)
        try:
            with pulse:
                self.images.send(image.id, content, len(content))
        except CloudError as error:
            return self._after(error, image)
        self.sent_bytes = len(content)
        return self._accepted(image, file, content)

    def _accepted(self, image: Image, file: Path, content: body.Body) -> Image | None:
        """Compare what Glance says it has with what was sent. Raises BakeryError, image deleted."""
        now = self.images.get(image.id)
        if now is None or now.status != records.ACTIVE:
            return now
        wrong = ""
        if not unchanged.still(self.piece.file, self.stamp):
            wrong = f"{self.piece.file} was changed while it was being sent"
        elif now.size_bytes != len(content):
            wrong = f"the server has {now.size_bytes} of the {len(content)} bytes sent"
        elif not _same(now, file, content.hexdigest()):
            wrong = f"the server has other content: its {now.hash_algo} is {now.hash_value}"
        if wrong:
            self.images.delete(image.id)
            raise BakeryError(f"image {image.id} was deleted again: {wrong}")
        properties = {records.SHA512: content.hexdigest()}
        return self.images.update(now, properties=properties, remove=(records.SENT,))

    def _after(self, error: CloudError, image: Image) -> Image | None:
        """What became of an image whose sending failed; raises the error where that is all.

        409 and 410 say that another publisher got there first, 404 that the image was deleted. A
        cut or a failure may mean the same: who sends to an image that is taken is hung up on. 401
        comes before any byte is taken, where a token has expired: the next look gets another.
        """
        if error.status in (401, 404, 409, 410):
            return self.images.get(image.id)
        if error.status is not None and error.status < 500:
            raise error
        try:
            now = self._outcome(image.id)
        except CloudError:
            raise error from None  # it told more
        if now is None:
            raise error
        return now

    def _outcome(self, image_id: str) -> Image | None:
        """An image whose sending failed, if it is active, or if another is at work on it."""
        end = time.monotonic() + self.patience.settle
        first = now = self.images.get(image_id)
        while now is not None and now.status in records.UNDER_WAY and time.monotonic() < end:
            time.sleep(self.patience.poll)
            now = self.images.get(image_id)
            if now is not None and now.status in records.UNDER_WAY and _moved(first, now):
                return now  # not ours: we send nothing any more
        return now if now is not None and now.status == records.ACTIVE else None

    def _awaited(self, image: Image) -> Image | None:
        """Wait for who is sending it; delete it where nobody is any more."""
        self.step.note(f"image {image.id} is {image.status}: waiting for its sender")
        now: Image | None = image
        since = time.monotonic()
        while now is not None and now.status in records.UNDER_WAY:
            self.step.progress(sent_bytes(now), self.piece.size_bytes)
            bound = self.patience.landing if is_whole(now) else self.patience.still
            if time.monotonic() - since > bound:
                self.step.note(f"image {image.id} has lost its sender: deleted")
                self.images.delete(image.id)
                return None
            time.sleep(self.patience.poll)
            before, now = now, self.images.get(image.id)
            since = time.monotonic() if _moved(before, now) else since
        return now

    def _stored(self, image: Image, store: Store) -> Image | None:
        """Write the base into the store, then tell Glance where it lies and what it hashes to."""
        sha512 = body.digest(self.piece.file, progress=self.step.progress)
        url = store.put(self.piece.file, image.id, self.step.progress)
        try:
            self.images.add_location(
                image.id, url, validation={"os_hash_algo": "sha512", "os_hash_value": sha512}
            )
        except CloudError:
            store.remove(image.id)
            raise
        now = self.images.get(image.id)
        return self._left(now, self.patience.still, self.patience.poll)


def _moved(before: Image | None, now: Image | None) -> bool:
    """Whether an upload shows a sign of life between two looks."""
    if before is None or now is None:
        return False
    signs = [(i.status, i.updated_at, i.properties.get(records.SENT)) for i in (before, now)]
    return signs[0] != signs[1]


def _same(image: Image, file: Path, sha512: str) -> bool:
    """Whether Glance's own digest is that of the file; where it keeps none, nothing can differ."""
    if not image.hash_algo:
        return True
    counted = sha512 if image.hash_algo == "sha512" else body.digest(file, image.hash_algo)
    return counted == image.hash_value
