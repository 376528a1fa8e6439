"""Stage base: the partition, the root filesystem or the disk, copied by its data alone.

The copy is of the source itself; the edits go over it range by range. So nothing can differ but
what the manifest lists, and no overlay stands between the copy and the image. It begins as soon
as the image is known to be safe, and runs beside the stages that read its files. What it copies is
then the likely place; where the image turns out to be another, it begins again.
"""

import threading
from pathlib import Path
from typing import BinaryIO

from bakery.choice import likely_place
from bakery.disk import changes, copy, digest
from bakery.disk.changes import Change
from bakery.disk.extents import Extent, total
from bakery.errors import BakeryError
from bakery.manifest import Artifact
from bakery.pool import Pool
from bakery.report import Step
from bakery.stages.edit import patches
from bakery.stages.job import Job, Stage, write_json

NAME = "base"


class Copying:
    """The copy, once started in a thread of its own; it is given up where nobody waits for it.

    Others may follow it: `landed` tells how far it is, and `edits` what goes over it. `reader` is
    the copy, open for reading from the first landing on.
    """

    reader: BinaryIO

    def __init__(self, job: Job, place: tuple[Extent, ...]) -> None:
        self.path = job.work.scratch / "copy"
        self.place = place
        self.size_bytes = total(place)
        self._image = job.image
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
            raise BakeryError("the copy was given up")
        self._news.wait()

    def _run(self) -> None:
        source, reads = self._image.node, [self._image.path]
        copy.copy_ranges(source, reads, self.place, self.path, self._progress, self._has_landed)

    def _has_landed(self, extent: Extent, digests: dict[int, bytes] | None) -> None:
        self._growing.landed(extent, digests)
        with self._news:
            if not self._landed:
                self.reader = self.path.open("rb", buffering=0)
            self._landed = extent.end
            self._news.notify_all()

    def _progress(self, done_bytes: int, total_bytes: int) -> None:
        if self._given_up:
            raise BakeryError("the copy was given up")
        if self._step:
            self._step.progress(done_bytes, total_bytes)


def foresee(job: Job) -> None:
    """Start the copy that most images need."""
    place = likely_place(job.image.table, job.image.virtual_size_bytes, job.options)
    if place:
        _start(job, place)


def begin(job: Job) -> None:
    """Start the copy, unless it is the one that has begun."""
    if NAME in job.begun_stages and job.beside(NAME, Copying).place == job.choice.place:
        return
    job.withdraw(NAME)
    _start(job, job.choice.place)


def _start(job: Job, place: tuple[Extent, ...]) -> None:
    copying = Copying(job, place)
    job.begun(NAME, copying)
    copying.start()


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `base` and `base.json`."""
    copying = job.beside(NAME, Copying)
    edits = [part for edit in patches(job) for part in changes.placed(edit, job.choice.place)]
    made = copying.finish(edits, step)
    job.image.check_unchanged()
    copying.path.rename(folder / "base")
    whole = digest.sha256(folder / "base") if job.options.sha256 else ""
    artifact = Artifact(made.size_bytes, made.digest, whole, made.extents)
    write_json(folder / "base.json", artifact)
    data = sum(extent.length for extent in made.extents)
    step.summary(f"{made.size_bytes} bytes, of which {data} are data")


STAGE = Stage(
    name=NAME,
    version=2,
    text="copy what goes on the node's disk",
    reads=("edit",),
    options=lambda job: {
        "layout": job.choice.layout,
        "place": job.choice.place,
        "sha256": job.options.sha256,
    },
    foresee=foresee,
    begin=begin,
    run=run,
)
