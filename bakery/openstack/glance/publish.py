"""Publishing: the images a build becomes are there afterwards, once, whole, and linked.

Every id is made of what the image is (pieces.Piece.image_id), and Glance gives an id once: so a
second run finds what the first one made, a killed run's leftover is finished by the next, and of
two publishers at once one waits for the other. Kernel and ramdisk are active before the base is
made; names, links and properties are set last, so they never lead to bytes that are not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.host.workdir import Stamp
from bakery.openstack.connection import GO_ON_HINT, CloudError
from bakery.openstack.glance import embedded, records
from bakery.openstack.glance.images import Images, Taken
from bakery.openstack.glance.pieces import Parts, Piece, Visibility
from bakery.openstack.glance.records import Image
from bakery.openstack.glance.transfer import Patience, Store, Transfer

GENERATIONS = 64
DRAFT_SUFFIX = ".new"
"""What stands behind a name while the image of that name is still another one."""


class PublishRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to publish, the stamps of its files, and how.

    `visibility` None: a new image is private, one that is there stays as it is.
    """

    parts: Parts
    stamps: dict[Path, Stamp]
    visibility: Visibility | None = None
    replace: bool = False

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All of them, the base last."""
        return (*self.parts.companions, self.parts.base)


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """An image as it is now, and what was done for it."""

    role: str
    id: str
    name: str
    disk_format: str
    container_format: str
    visibility: str
    size_bytes: int
    sent_bytes: int
    created: bool
    updated: bool
    """Whether an image that was there got another name, link, visibility or property."""


class PublishResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of `publish` came to."""

    shape: str
    images: tuple[Published, ...]
    sent_bytes: int
    hidden: tuple[str, ...]
    """The ids of older images that `--replace` hid."""
    same_name: tuple[str, ...]
    """The ids of other visible images that bear the base's name."""


class _Found(msgspec.Struct):
    """What is known of a piece's image so far, and what was done for it."""

    image: Image
    created: bool = False
    updated: bool = False
    sent_bytes: int = 0
    sha512: str = ""


def publish(
    images: Images,
    request: PublishRequest,
    report: Report,
    store: Store | None = None,
    patience: Patience | None = None,
) -> PublishResult:
    """Bring every image of `order` to be active, right, linked and named.

    `store`, where given, takes the base. Raises BakeryError, whose line says what exists on the
    server then.
    """
    work = _Publishing(images, request, report, store, patience or Patience())
    try:
        return work.run()
    except CloudError as error:
        raise error.knowing(work.on_server()) from error
    except BakeryError as error:
        raise BakeryError(
            f"{error.message}; {work.on_server()}", error.hint or GO_ON_HINT
        ) from error


@dataclass
class _Publishing:
    """One run; `found` is what it knows of the images, by role."""

    images: Images
    request: PublishRequest
    report: Report
    store: Store | None
    patience: Patience
    found: dict[str, _Found] = field(default_factory=dict)
    suffix: str = ""

    def run(self) -> PublishResult:
        older = self._older() if self.request.replace else []
        self.suffix = DRAFT_SUFFIX if older else ""
        for piece in self.request.pieces:
            self._bring(piece)
        hidden = self._hide(older)
        for piece in self.request.pieces:
            self._dress(piece)
        return PublishResult(
            shape=self.request.parts.shape,
            images=tuple(self._published(piece) for piece in self.request.pieces),
            sent_bytes=sum(found.sent_bytes for found in self.found.values()),
            hidden=hidden,
            same_name=tuple(image.id for image in self._named(self.request.parts.base.name)),
        )

    def on_server(self) -> str:
        """What exists there now, asked anew."""
        words = []
        for role, found in self.found.items():
            try:
                image = self.images.get(found.image.id)
            except CloudError:
                return "what exists on the server now is unknown: it does not answer"
            if image:
                words.append(f"{role} ({image.disk_format}) {image.id} is {image.status}")
        return "on the server now: " + (", ".join(words) or "nothing of this build")

    def _bring(self, piece: Piece) -> None:
        """Have the piece's bytes in an active image."""
        store = self.store if piece.role == records.BASE else None
        stamp = self.request.stamps[piece.file]
        with (
            self.report.step(f"{piece.role} {piece.disk_format}") as step,
            Transfer(self.images, piece, stamp, step, store, self.patience) as transfer,
        ):
            for generation in range(GENERATIONS):
                if self._filled(piece, generation, transfer):
                    sent = transfer.sent_bytes
                    step.summary(f"{self.found[piece.role].image.id}, {sent} bytes sent")
                    return
        raise BakeryError(f"{piece.name}: its image was deleted {GENERATIONS} times")

    def _filled(self, piece: Piece, generation: int, transfer: Transfer) -> bool:
        """Whether the image of this generation could be brought to hold the piece."""
        found = self._record(piece, generation, transfer)
        if found is None:
            return False
        self.found[piece.role] = found
        if found.image.status not in records.UNDER_WAY:
            # Before any byte is sent: it may be forbidden.
            found.image = self.images.update(found.image, visibility=self.request.visibility)
        filled = transfer.filled(found.image, ours=found.created)
        if filled is None:
            return False
        found.image, found.sha512 = filled, transfer.sha512
        found.sent_bytes = transfer.sent_bytes
        return True

    def _record(self, piece: Piece, generation: int, transfer: Transfer) -> _Found | None:
        """The record of this generation, made where there is none; None where it was deleted."""
        image_id = piece.image_id(self.images.project, generation)
        image = self.images.get(image_id)
        if image is None and generation == 0:
            image = self._later(piece)
        return self._created(piece, image_id, transfer) if image is None else _Found(image)

    def _created(self, piece: Piece, image_id: str, transfer: Transfer) -> _Found | None:
        said = self._properties(piece) | transfer.prepared()
        try:
            image = self.images.create(
                image_id,
                piece.name + self.suffix,
                piece.disk_format,
                piece.container_format,
                self.request.visibility or "private",
                said,
                piece.min_disk_gib,
            )
        except Taken:
            there = self.images.get(image_id)  # another publisher's; or deleted, and not shown
            return _Found(there) if there else None
        return _Found(image, created=True)

    def _later(self, piece: Piece) -> Image | None:
        """An image of a later generation whose first one Glance has forgotten (db purge)."""
        ids = {piece.image_id(self.images.project, number) for number in range(1, GENERATIONS)}
        listed = self.images.with_property(records.DIGEST, piece.digest)
        return next((image for image in listed if image.id in ids), None)

    def _properties(self, piece: Piece) -> dict[str, str]:
        """All that bakery says of the piece, as far as it is known."""
        said = dict(piece.properties)
        if piece.role == records.BASE:
            said |= self.request.parts.links(
                {role: found.image.id for role, found in self.found.items() if role != piece.role}
            )
        found = self.found.get(piece.role)
        if found and found.sha512:
            said[records.SHA512] = found.sha512
        return said

    def _dress(self, piece: Piece) -> None:
        """Name, links and properties as they must be; nothing is sent where they are."""
        found = self.found[piece.role]
        wanted = _with_manifest_of(found.image, self._properties(piece))
        now = self.images.update(
            found.image,
            name=piece.name,
            visibility=self.request.visibility,
            hidden=False,
            min_disk=piece.min_disk_gib,
            properties=wanted,
            remove=_outdated(found.image.properties, wanted),
        )
        found.updated = now is not found.image and not found.created
        found.image = now

    def _older(self) -> list[Image]:
        """What bakery published under these names before, of other content."""
        project = self.images.project
        ours = {
            piece.image_id(project, number)
            for piece in self.request.pieces
            for number in range(GENERATIONS)
        }
        return [
            image
            for piece in self.request.pieces
            for image in self.images.named(piece.name)
            if image.role == piece.role and image.owner == project and image.id not in ours
        ]

    def _hide(self, older: list[Image]) -> tuple[str, ...]:
        """Take the old images out of sight before their names go to the new ones.

        Between the two a name leads to the old image, as clients look at hidden ones last, and
        never to two.
        """
        for image in older:
            self.images.update(image, hidden=True)
        return tuple(image.id for image in older)

    def _named(self, name: str) -> list[Image]:
        """Others of this project that bear the name."""
        ours = {found.image.id for found in self.found.values()}
        project = self.images.project
        return [i for i in self.images.named(name) if i.id not in ours and i.owner == project]

    def _published(self, piece: Piece) -> Published:
        found = self.found[piece.role]
        return Published(
            role=piece.role,
            id=found.image.id,
            name=found.image.name,
            disk_format=found.image.disk_format,
            container_format=found.image.container_format,
            visibility=found.image.visibility,
            size_bytes=found.image.size_bytes or 0,
            sent_bytes=found.sent_bytes,
            created=found.created,
            updated=found.updated,
        )


def _with_manifest_of(image: Image, wanted: Mapping[str, str]) -> dict[str, str]:
    """`wanted`, its manifest written as the image has it where it holds the same one.

    What zlib makes of a manifest may differ from machine to machine.
    """
    held = image.properties
    if held.get(embedded.SHA256) != wanted.get(embedded.SHA256):
        return dict(wanted)
    try:
        embedded.unpack(held)
    except BakeryError:
        return dict(wanted)
    rest = {key: value for key, value in wanted.items() if key not in embedded.names(wanted)}
    return rest | {key: held[key] for key in embedded.names(held)}


def _outdated(properties: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """What bakery said of an image and does not say any more; others' properties stay."""
    links = (records.KERNEL_ID, records.RAMDISK_ID, records.COMMAND_LINE)
    return [
        key
        for key in properties
        if key not in wanted and (key in links or key.startswith(records.OWN_PREFIX))
    ]
