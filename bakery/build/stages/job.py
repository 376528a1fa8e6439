"""A job: one image, one set of options, the results so far, and what runs beside the stages."""

import contextlib
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from bakery.build.spec import Options, Spec, resolve
from bakery.host.report import Report
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.image.engines.choose import EngineName
from bakery.image.inspection import Inspection
from bakery.image.opened import MEANS, Means, Opened
from bakery.image.source import Image

T = TypeVar("T")
SOURCE = "source"
"""What a stage `reads` that reads the image itself."""
INSPECTION = ("inspect", "inspection.json")
"""The stage, and the file of its result, by which it is settled what is built."""


class Beside(Protocol):
    """Work for a stage that runs beside the stages before it."""

    def start(self) -> None:
        """Begin; from here on it is ended by `close` alone."""

    def close(self) -> None:
        """End it, begun or not, finished or not."""


class Job:
    """What stages work on. `engine` is the one that looks; results appear as stages end.

    `source` is the image that was given, `image` what all is made of: the same, or it scrubbed.
    `opened` is the image where that is open already.
    """

    def __init__(
        self,
        image: Image,
        options: Options,
        engine: EngineName,
        work: WorkDir,
        report: Report,
        means: Means = MEANS,
        opened: Opened | None = None,
    ) -> None:
        self.source = image
        self.options = options
        self.engine = engine
        self.work = work
        self.report = report
        self.keys: dict[str, str] = {SOURCE: image.digest}
        self.results: dict[str, Path] = {}
        self._means = means
        self._all: list[Opened] = []
        self._spec: Spec | None = None
        self._beside: dict[str, Beside] = {}
        if opened is None:
            self.opened = self._open(image)
        else:
            opened.image = image  # it was opened before its digest was known
            self.opened = opened
            self._all.append(opened)

    @property
    def image(self) -> Image:
        """The image all is made of."""
        return self.opened.image

    def open(self, path: Path) -> Opened:
        """Check and open an image that was made of the present one; closed with the job."""
        return self._open(source.read_image(path, self.report, self._means.check))

    def go_on_from(self, path: Path, made: Opened | None, work: WorkDir, memory: str) -> None:
        """All that follows is made of that image; `made` is it, where it is open already.

        What is found out about it is remembered in a file `memory` of `work`.
        """
        self.opened.close()
        if made is None:
            check = self._means.check
            made = self._open(
                source.open_image(path, self.report, work, memory=memory, check=check)
            )
        else:
            made.moved(path)
            source.remember(made.image, work, memory)
        self.opened = made
        self.keys[SOURCE] = made.image.digest

    def begin(self, stage: str, work: Beside) -> None:
        """Begin work for a later stage; it is closed with the job."""
        self._beside[stage] = work
        work.start()

    def adopt(self, stage: str, work: Beside) -> None:
        """Take over work for a later stage that has begun."""
        self._beside[stage] = work

    def withdraw(self, stage: str) -> None:
        """End what was begun for that stage, if anything was: it is not what is needed."""
        if stage in self._beside:
            self._beside[stage].close()
            del self._beside[stage]

    def beside(self, stage: str) -> Beside | None:
        """What was begun for that stage, or None."""
        return self._beside.get(stage)

    def close(self) -> None:
        """End all sessions, and what was begun, whatever state they are in."""
        with contextlib.ExitStack() as stack:
            for work in self._beside.values():
                stack.callback(work.close)
            for opened in self._all:
                stack.callback(opened.close)

    @property
    def unlocked(self) -> bool:
        """Whether there is a key for what is encrypted in the image."""
        return self._means.unlocked

    @property
    def is_settled(self) -> bool:
        """Whether the image is inspected, so that there is a `spec`."""
        return INSPECTION[0] in self.results

    @property
    def inspection(self) -> Inspection:
        """What the image is."""
        return self.read(*INSPECTION, Inspection)

    @property
    def spec(self) -> Spec:
        """What is built and how, settled once the image was inspected."""
        if self._spec is None:
            self._spec = resolve(self.inspection, self.options, self.source.path.stem, self.engine)
        return self._spec

    def read(self, stage: str, name: str, kind: type[T]) -> T:
        """A JSON file of an earlier stage's result."""
        return msgspec.json.decode((self.results[stage] / name).read_bytes(), type=kind)

    def _open(self, image: Image) -> Opened:
        folder = self.work.scratch / f"sessions-{len(self._all)}"
        opened = Opened(image, self.engine, folder, self.report, self._means)
        self._all.append(opened)
        return opened
