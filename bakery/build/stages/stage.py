"""A stage: what it reads, what else it is given, and what it makes of that.

`run` makes the result in an empty folder. Its key is the sha256 of its name, its version, what it
is given and the keys of what it reads, so equal keys mean equal results. That holds only while a
stage reads nothing else, so `Inputs` has nothing else for it.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from bakery.build.spec import Options
from bakery.build.stages.job import INSPECTION, SOURCE, Beside, Job
from bakery.host.report import Report, Step
from bakery.host.workdir import WorkDir
from bakery.image.inspection import Inspection
from bakery.image.opened import Opened
from bakery.image.source import Image

T = TypeVar("T")
IMAGE = "image"
"""The file of a result that is another image."""
INPUTS = "inputs.json"
"""The file of a result that tells what its key is made of."""


class Undeclared(Exception):
    """A stage asked for what it did not declare; its key would not tell when that changes."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage is given beside what it reads; each stage has its own fields."""

    def told(self) -> dict[str, Any]:
        """What of it the key is made of, by name."""
        return msgspec.structs.asdict(self)


G = TypeVar("G", bound=Given)


class Inputs(Generic[G]):
    """What a stage declared, and nothing else of the job. Anything else is Undeclared."""

    def __init__(self, job: Job, stage: "Stage[G]") -> None:
        self._job = job
        self._stage = stage
        self.given = stage.given(job)

    @property
    def opened(self) -> Opened:
        """The image, with its sessions."""
        self._declared(SOURCE)
        return self._job.opened

    @property
    def image(self) -> Image:
        """The image."""
        return self.opened.image

    @property
    def inspection(self) -> Inspection:
        """What the image is."""
        return self.read(*INSPECTION, Inspection)

    def file(self, stage: str, name: str) -> Path:
        """A file of an earlier stage's result."""
        self._declared(stage)
        return self._job.results[stage] / name

    def read(self, stage: str, name: str, kind: type[T]) -> T:
        """A JSON file of an earlier stage's result."""
        return msgspec.json.decode(self.file(stage, name).read_bytes(), type=kind)

    def beside(self, stage: str, kind: type[T]) -> T | None:
        """What was begun for this stage, or one that it reads; None where nothing was."""
        if stage != self._stage.name:
            self._declared(stage)
        work = self._job.beside(stage)
        assert work is None or isinstance(work, kind)
        return work

    def withdraw(self) -> None:
        """End what was begun for this stage: it is not what is needed."""
        self._job.withdraw(self._stage.name)

    def open(self, path: Path) -> Opened:
        """Check and open the image that this stage makes; the job closes it."""
        return self._job.open(path)

    @property
    def report(self) -> Report:
        """Where to tell of long work."""
        return self._job.report

    @property
    def scratch(self) -> Path:
        """A folder for drafts, on the filesystem of the results."""
        return self._job.work.scratch

    @property
    def under_way(self) -> Path:
        """The stage's folder that outlives a killed run; it need not be there."""
        assert self._stage.under_way
        return self._job.work.path / self._stage.under_way

    def _declared(self, name: str) -> None:
        if name not in self._stage.reads:
            raise Undeclared(f"the stage {self._stage.name} does not read {name}")


class Stage(msgspec.Struct, Generic[G], frozen=True, kw_only=True):
    """One stage of a build.

    `version` rises whenever the same inputs would give another result. `reads` names the stages
    whose results it reads, or `source` for the image. `given` answers what else its result depends
    on, and `wanted` whether it belongs to this build at all.
    """

    name: str
    version: int
    text: str
    reads: tuple[str, ...]
    given: Callable[[Job], G]
    run: Callable[[Inputs[G], Path, Step], Opened | None]
    """Makes the result. Where that is another image, it may be handed back, open."""
    wanted: Callable[[Options], bool] = lambda _options: True
    remakes: bool = False
    """Whether its result is an image, of which all that follows is made. Such stages come first."""
    settles: bool = False
    """Whether it is settled what is built once it has run; what follows depends on that."""
    begin: Callable[[Inputs[G]], Beside | None] | None = None
    """What can be begun for it as soon as it is settled what is built, beside other stages."""
    foresee: Callable[[Image, Options, Path], Beside | None] | None = None
    """What is begun before that, for an image that is safe to open; it may turn out in vain."""
    under_way: str = ""
    """A folder of the work directory that outlives a killed run, until the result stands. Of such
    a stage all stays, also where the build is refused: what it did elsewhere belongs to it."""

    def key(self, job: Job) -> str:
        """Its content key, 16 hexadecimal digits."""
        return hashlib.sha256(msgspec.json.encode(self.inputs(job))).hexdigest()[:16]

    def inputs(self, job: Job) -> dict[str, Any]:
        """What the key is made of, by name, for people to compare."""
        return {
            "stage": f"{self.name} {self.version}",
            **{f"reads {name}": job.keys[name] for name in self.reads},
            **self.given(job).told(),
        }


AnyStage = Stage[Any]


def run_stage(stage: AnyStage, job: Job) -> Opened | None:
    """Make the result of a stage, unless it is there; the image that it handed back, if any."""
    key = stage.key(job)
    job.keys[stage.name] = key
    found, made = job.work.result(stage.name, key), None
    if found is None:
        with (
            job.report.step(stage.name, stage.text) as step,
            job.work.making(stage.name, key) as folder,
        ):
            made = stage.run(Inputs(job, stage), folder, step)
            (folder / INPUTS).write_bytes(msgspec.json.encode(stage.inputs(job)))
        found = job.work.result(stage.name, key)
        assert found is not None
    job.results[stage.name] = found
    return made


def settle(stage: AnyStage, work: WorkDir) -> None:
    """The result stands. Another name of it goes at once: later that would look like a change."""
    if stage.under_way:
        shutil.rmtree(work.path / stage.under_way, ignore_errors=True)


def is_kept(stage: AnyStage, work: WorkDir) -> bool:
    """Whether there is something of the stage that must stay although the build is refused."""
    patterns = (f"{stage.name}-*", f"{stage.under_way}/*") if stage.under_way else ()
    return any(any(work.path.glob(pattern)) for pattern in patterns)


def go_on_from(stage: AnyStage, job: Job, made: Opened | None, work: WorkDir) -> str:
    """All that follows is made of the image that this stage made; where that is remembered."""
    memory = f"{stage.name}.json"
    job.go_on_from(job.results[stage.name] / IMAGE, made, work, memory)
    return memory


def write_json(path: Path, value: object) -> None:
    """Write one JSON file of a result."""
    path.write_bytes(msgspec.json.encode(value) + b"\n")
