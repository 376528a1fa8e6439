"""What a build begins before the digest of its image is known: the inspection, and the base.

Every key of a build is made of that digest, and no result is taken up without its key. But what is
looked at and copied depends on the image alone, and reading all of a large file takes as long as
copying it. Of a raw one the copy tells the digest, so that it is read once.
"""

import contextlib
from pathlib import Path

from bakery.build.spec import Options, likely_place, resolve
from bakery.build.stages.base import NAME, Copying
from bakery.build.stages.job import Job
from bakery.build.stages.table import STAGES
from bakery.disk.extents import Extent
from bakery.host.errors import BakeryError
from bakery.host.report import Report, Step
from bakery.host.workdir import WorkDir
from bakery.image.engines.choose import EngineName, can
from bakery.image.opened import Means, Opened
from bakery.image.source import Image


class Ahead:
    """See `source.Meanwhile`. What was begun is handed to the job, or ended by `close`."""

    def __init__(
        self, options: Options, engine: EngineName, work: WorkDir, report: Report, means: Means
    ) -> None:
        # A build of a scrubbed image, or of one with more files, has no use for the given one.
        self.hashes = not any(stage.remakes and stage.wanted(options) for stage in STAGES)
        self.opened: Opened | None = None
        self._copying: Copying | None = None
        self._options, self._engine = options, engine
        self._work, self._report, self._means = work, report, means

    def begin(self, image: Image) -> None:
        """Begin to copy the likely place; look at the image, and copy the right one."""
        if not self.hashes:
            return
        self._copy(image, likely_place(image.table, image.virtual_size_bytes, self._options))
        if can(self._engine, "quick"):
            folder = self._work.scratch / "sessions-ahead"
            self.opened = Opened(image, self._engine, folder, self._report, self._means)
            # What is wrong here is wrong again when its stage comes, and is said there.
            with contextlib.suppress(BakeryError):
                self._copy(image, self._place(self.opened, image.path))

    def digest(self, step: Step) -> str:
        """The digest of a raw file, by the copy; empty where nothing is copied."""
        return self._copying.source_digest(step) if self._copying else ""

    def hand_over(self, job: Job) -> None:
        """All that was begun is the job's from here on."""
        if self._copying:
            job.adopt(NAME, self._copying)
        self._copying = self.opened = None

    def close(self) -> None:
        """End what nobody took over."""
        with contextlib.ExitStack() as stack:
            for work in (self._copying, self.opened):
                if work:
                    stack.callback(work.close)

    def _place(self, opened: Opened, path: Path) -> tuple[Extent, ...]:
        return resolve(opened.inspection, self._options, path.stem, self._engine).place

    def _copy(self, image: Image, place: tuple[Extent, ...]) -> None:
        if self._copying and self._copying.place != place:
            self._copying.close()
            self._copying = None
        if place and self._copying is None:
            self._copying = Copying(image, place, self._work.scratch)
            self._copying.start()
