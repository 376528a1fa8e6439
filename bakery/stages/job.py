"""A job: one image, one set of options, the results so far, and the engine sessions they share.

A stage is a record, and `run` makes its result in an empty folder. Its key is the sha256 of its
name, version, options and the keys of what it reads, so equal keys mean equal results.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from bakery.choice import Choice, Options, choose
from bakery.engines.base import Engine
from bakery.engines.choose import EngineName, open_engine
from bakery.inspection import Inspection
from bakery.report import Report, Step
from bakery.source import Image
from bakery.workdir import WorkDir

T = TypeVar("T")
IMAGE = "image"
"""The file of a result that is another image."""


class Closing(Protocol):
    """Work that is under way beside a stage."""

    def close(self) -> None:
        """End it, finished or not."""


class Job:
    """What stages work on. `engine` is the one that inspects; results appear as stages end.

    `source` is the image that was given, `image` what all is made of: the same, or it scrubbed.
    """

    def __init__(
        self, image: Image, options: Options, engine: EngineName, work: WorkDir, report: Report
    ) -> None:
        self.source = image
        self.image = image
        self.options = options
        self.engine = engine
        self.work = work
        self.report = report
        self.keys: dict[str, str] = {"source": image.digest}
        self.results: dict[str, Path] = {}
        self._sessions: dict[EngineName, Engine] = {}
        self._choice: Choice | None = None
        self._beside: dict[str, Closing] = {}

    def go_on_from(self, image: Image) -> None:
        """All that follows is made of that image, which was made of `source`."""
        for name in list(self._sessions):
            self.close_session(name)
        self.image = image
        self.keys["source"] = image.digest

    def session(self, name: EngineName) -> Engine:
        """The open session of that engine; started when first asked for, shared by all stages."""
        if name not in self._sessions:
            folder = self.work.scratch / f"session-{name}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._sessions[name] = open_engine(
                name, self.image.path, self.image.format, folder, self.report
            )
        return self._sessions[name]

    def close_session(self, name: EngineName) -> None:
        """End a session, so that its overlay is complete."""
        if name in self._sessions:
            self._sessions.pop(name).close()

    def begun(self, stage: str, work: Closing) -> None:
        """Work of a later stage has begun beside the present one; it is closed with the job."""
        self._beside[stage] = work

    def withdraw(self, stage: str) -> None:
        """End what was begun for that stage, if anything was: it is not what is needed."""
        if stage in self._beside:
            self._beside[stage].close()
            del self._beside[stage]

    @property
    def begun_stages(self) -> frozenset[str]:
        """The stages of which work has begun."""
        return frozenset(self._beside)

    def beside(self, stage: str, kind: type[T]) -> T:
        """What was begun for that stage."""
        work = self._beside[stage]
        assert isinstance(work, kind)
        return work

    def close(self) -> None:
        """End all sessions, and what was begun, whatever state they are in."""
        with contextlib.ExitStack() as stack:
            for work in self._beside.values():
                stack.callback(work.close)
            for name in list(self._sessions):
                stack.callback(self.close_session, name)

    @property
    def inspection(self) -> Inspection:
        """The result of the stage `inspect`."""
        return self.read("inspect", "inspection.json", Inspection)

    @property
    def choice(self) -> Choice:
        """What is built and how, settled once the image was inspected."""
        if self._choice is None:
            self._choice = choose(self.inspection, self.options, self.source.path.stem, self.engine)
        return self._choice

    def read(self, stage: str, name: str, kind: type[T]) -> T:
        """A JSON file of an earlier stage's result."""
        return msgspec.json.decode((self.results[stage] / name).read_bytes(), type=kind)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of a build.

    `options` answers what of the job, beside what it `reads`, its result depends on.
    `version` rises whenever the same inputs would give another result. `begin`, where there is
    one, is called before `run`, as soon as the image is inspected, and `foresee` before that, when
    it is known to be safe: what it begins may turn out to be in vain. `wanted` tells whether the
    stage belongs to this build at all.
    """

    name: str
    version: int
    text: str
    reads: tuple[str, ...]
    options: Callable[[Job], dict[str, Any]]
    run: Callable[[Job, Path, Step], None]
    foresee: Callable[[Job], None] | None = None
    begin: Callable[[Job], None] | None = None
    wanted: Callable[[Job], bool] = lambda _job: True

    def key(self, job: Job) -> str:
        """Its content key, 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self.inputs(job))).hexdigest()[:16]

    def inputs(self, job: Job) -> dict[str, Any]:
        """What the key is made of, by name, for people to compare."""
        return {
            "stage": f"{self.name} {self.version}",
            **{f"reads {name}": job.keys[name] for name in self.reads},
            **self.options(job),
        }


def write_json(path: Path, value: object) -> None:
    """Write one JSON file of a result."""
    path.write_bytes(msgspec.json.encode(value) + b"\n")
