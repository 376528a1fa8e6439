"""Stage base: the partition, the root filesystem or the disk, copied by its data alone.

The copy is of the source itself; the edits go over it range by range. So nothing can differ but
what the manifest lists, and no overlay stands between the copy and the image. It begins as soon
as the image is known to be safe, and runs beside the stages that read its files. What it copies is
then the likely place; where the image turns out to be another, it begins again.
"""

import os
import threading
from pathlib import Path
from typing import BinaryIO

from bakery.build.spec import Options, likely_place
from bakery.build.stages.edit import MAPPED, PATCH, Edits, patches
from bakery.build.stages.job import SOURCE
from bakery.build.stages.stage import Given, Inputs, Stage, write_json
from bakery.disk import digest
from bakery.disk.copy import changes, copy
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent, total
from bakery.host.errors import BakeryError
from bakery.host.folders import sync
from bakery.host.pool import Pool
from bakery.host.report import Step
from bakery.image.source import Image
from bakery.manifest.manifest import Artifact, Layout

NAME = "base"


class Copying:
    """The copy, once started in a thread of its own; it is given up where nobody waits for it.

    Others may follow it: `landed` tells how far it is, and `edits` what goes over it. `reader` is
    the copy, open for reading from the first landing on.
    """

    reader: BinaryIO

    def __init__(self, image: Image, place: tuple[Extent, ...], scratch: Path) -> None:
        self.path = scratch / "copy"
        self.place = place
        self.size_bytes = total(place)
        self._image = image
        self._step: Step | None = None
        self._given_up = False
        self._news = threading.Condition()
        self._landed = 0
        self._edits: list[Change] | None = None
        self._growing = digest.Growing(self.path, self.size_bytes)
        self._pool = Pool(1)

    def start(self) -> None:
        """Begin; from here on it is ended by `close` alone."""
        self._running = self._pool.submit(self._run)

    def source_digest(self, step: Step) -> str:
        """Wait for the copy: the digest of the file, where all of that was read."""
        self._step = step
        return self._running.result()

    def finish(self, edits: list[Change], step: Step) -> digest.Fingerprint:
        """Wait for the copy, put the edited bytes over it, and bring it to the disk."""
        self._step = step
        with self._news:
            self._edits = edits
            self._news.notify_all()
        self._running.result()
        with self.path.open("r+b") as file:
            for edit in edits:
                file.seek(edit.extent.offset)
                file.write(edit.data)
                for chunk in digest.by_chunk([edit.extent]):
                    self._growing.altered(chunk)
        return self._growing.fingerprint()

    def landed(self, beyond: int) -> int:
        """Wait until more than `beyond` bytes are complete: how many are, but for the edits."""
        with self._news:
            while self._landed <= beyond:
                self._wait()
            return self._landed

    def edits(self) -> list[Change]:
        """Wait until it is known what goes over the copy, by offset in it."""
        with self._news:
            while self._edits is None:
                self._wait()
            return self._edits

    def give_up(self) -> None:
        """Nobody waits for the copy any more, nor does anything that follows it."""
        with self._news:
            self._given_up = True
            self._news.notify_all()

    def close(self) -> None:
        """End the copy, wherever it is; what nobody took of it goes."""
        self.give_up()
        self._pool.shutdown()
        self._growing.close()
        if self._landed:
            self.reader.close()
        self.path.unlink(missing_ok=True)

    def _wait(self) -> None:
        if self._given_up:
            raise BakeryError("the copy was cancelled")
        self._news.wait()

    def _run(self) -> str:
        source, reads = self._image.blockdev, [self._image.path]
        tell = (self._progress, self._has_landed)
        return copy.copy_ranges(source, reads, self.place, self.path, *tell)

    def _has_landed(self, extent: Extent, digests: dict[int, bytes] | None) -> None:
        self._growing.landed(extent, digests)
        with self._news:
            if not self._landed:
                self.reader = self.path.open("rb", buffering=0)
            self._landed = extent.end
            self._news.notify_all()

    def _progress(self, done_bytes: int, total_bytes: int) -> None:
        if self._given_up:
            raise BakeryError("the copy was cancelled")
        if self._step:
            self._step.progress(done_bytes, total_bytes)


class BaseGiven(Given, frozen=True, kw_only=True):
    """What the base is, and where on the disk it lies."""

    layout: Layout
    place: tuple[Extent, ...]
    sha256: bool


def foresee(image: Image, options: Options, scratch: Path) -> Copying | None:
    """The copy that most images need."""
    place = likely_place(image.table, image.virtual_size_bytes, options)
    return Copying(image, place, scratch) if place else None


def begin(inputs: Inputs[BaseGiven]) -> Copying | None:
    """The copy: the one that was foreseen, where that is of the right place.

    None where the base has no place on the disk: the engine that edits has copied it.
    """
    foreseen = inputs.beside(NAME, Copying)
    if foreseen and foreseen.place == inputs.given.place:
        return foreseen
    inputs.withdraw()
    if not inputs.given.place:
        return None
    return Copying(inputs.image, inputs.given.place, inputs.scratch)


def run(inputs: Inputs[BaseGiven], folder: Path, step: Step) -> None:
    """Write `base` and `base.json`."""
    copying, given = inputs.beside(NAME, Copying), inputs.given
    if copying is None:
        os.link(inputs.file("edit", MAPPED), folder / "base")
        sync(folder / "base")
        copied = digest.fingerprint(folder / "base", step.progress)
    else:
        copied = _finished(copying, inputs, folder, step)
    whole = digest.sha256(folder / "base") if given.sha256 else ""
    artifact = Artifact(copied.size_bytes, copied.digest, whole, copied.extents)
    write_json(folder / "base.json", artifact)
    data = sum(extent.length for extent in copied.extents)
    step.summary(f"{copied.size_bytes} bytes, of which {data} are data")


def _finished(
    copying: Copying, inputs: Inputs[BaseGiven], folder: Path, step: Step
) -> digest.Fingerprint:
    """Write `base`: the copy, with the edits over it."""
    made = patches(inputs.read("edit", "edits.json", Edits), inputs.file("edit", PATCH))
    edits = [part for edit in made for part in changes.placed(edit, inputs.given.place)]
    copied = copying.finish(edits, step)
    inputs.image.check_unchanged()
    copying.path.rename(folder / "base")
    return copied


STAGE = Stage(
    name=NAME,
    version=2,
    text="copy what goes on the node's disk",
    reads=(SOURCE, "edit"),
    given=lambda job: BaseGiven(
        layout=job.spec.layout, place=job.spec.place, sha256=job.options.sha256
    ),
    foresee=foresee,
    begin=begin,
    run=run,
)
