"""A build: what would run and why, and running it.

A stage whose key has a result is not run again, so a second build is a resume. The folder holds
a finished build exactly when it holds a manifest.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from bakery import __version__, manifest
from bakery.choice import Options
from bakery.engines.choose import pick
from bakery.errors import BakeryError
from bakery.folder import claim
from bakery.manifest import Build
from bakery.report import Report, silent
from bakery.source import open_image
from bakery.stages import publish, scrub
from bakery.stages.job import IMAGE, Job, Stage
from bakery.stages.table import REMAKING, STAGES
from bakery.workdir import WorkDir

State = Literal["have", "will run"]
INPUTS = "inputs.json"
# The stages that a plan may run aside: they read little, and all that follows hangs on them.
QUICK = ("check", "inspect")
FIRST = (*(stage.name for stage in REMAKING), *QUICK)


class Step(msgspec.Struct, frozen=True):
    """A line of a plan."""

    stage: str
    state: State
    why: str


class Plan(msgspec.Struct, frozen=True):
    """What a build would do."""

    output: str
    layout: str
    engine: str
    engine_reason: str
    steps: tuple[Step, ...]


def build(image: Path, options: Options, output: Path, report: Report) -> tuple[Build, bool]:
    """Build `image` into `output`; the finished build, and whether anything had to be done.

    What is refused leaves nothing behind; what is interrupted leaves finished stages in
    `output/.bakery`, where the same call goes on from. A scrubbed image stays in any case, since
    what was taken from it may have been kept by that run alone.
    """
    claim(output)
    engine, _ = pick(options.engine)
    work = WorkDir(output)
    with work.locked(), _leaving_nothing(work):
        source = open_image(image, report, work, options.source_sha256)
        job = Job(source, options, engine, work, report)
        prepared = None
        with contextlib.closing(job):
            for stage in _wanted(job, REMAKING):
                _run_stage(stage, job)
                scrub.settle(work)
                _go_on_from(stage, job, work)
            for stage in _wanted(job):
                if stage.name == "inspect":
                    _foresee(job, stage)
                if stage.name in job.begun_stages and prepared is None:
                    prepared = publish.prepare(job)  # it has begun, and can be waited for later
                _run_stage(stage, job)
                if stage.name == "inspect":
                    _begin(job)
        key = _build_key(job)
        done = publish.published(job, key)
        if done is not None:
            return Build(output, done), False
        with report.step("publish", f"into {output}") as step:
            made = publish.publish(job, key, prepared or publish.prepare(job))
            step.summary(made.name + manifest.SUFFIX)
        work.prune(set(job.results.values()))
        return Build(output, made), True


def plan(image: Path, options: Options, output: Path) -> Plan:
    """What `build` would do now. Nothing is built; where it takes no appliance, the image is
    inspected on the way, since what is left to do depends on what it is.
    """
    claim(output)
    engine, reason = pick(options.engine)
    work = WorkDir(output)
    with tempfile.TemporaryDirectory(prefix="bakery-") as folder:
        aside = WorkDir(Path(folder))
        source = open_image(image, silent(), work, options.source_sha256)
        job = Job(source, options, engine, aside, silent())
        with aside.locked(), contextlib.closing(job):
            steps = tuple(_planned_steps(job, work))
            choice = job.choice if "inspect" in job.results else None
    if choice and choice.edit_reason:
        reason = f"{reason}; guestfs edits, since {choice.edit_reason}"
    return Plan(str(output), choice.layout if choice else "", engine, reason, steps)


@contextlib.contextmanager
def _leaving_nothing(work: WorkDir) -> Iterator[None]:
    """Take the work directory away where an image was refused and nothing was ever built."""
    try:
        yield
    except (BakeryError, OSError) as error:
        if not any(work.output.glob("*" + manifest.SUFFIX)) and not scrub.is_kept(work):
            work.remove()
        if isinstance(error, OSError):
            raise BakeryError(f"{error.filename or work.output}: {error.strerror}") from error
        raise


def _wanted(job: Job, stages: tuple[Stage, ...] = STAGES) -> list[Stage]:
    """Those of the stages that belong to this build."""
    return [stage for stage in stages if stage.wanted(job)]


def _run_stage(stage: Stage, job: Job) -> None:
    key = stage.key(job)
    job.keys[stage.name] = key
    found = job.work.result(stage.name, key)
    if found is None:
        with (
            job.report.step(stage.name, stage.text) as step,
            job.work.making(stage.name, key) as folder,
        ):
            stage.run(job, folder, step)
            (folder / INPUTS).write_bytes(msgspec.json.encode(stage.inputs(job)))
        found = job.work.result(stage.name, key)
        assert found is not None
    job.results[stage.name] = found


def _go_on_from(stage: Stage, job: Job, work: WorkDir) -> None:
    """All that follows is made of the image that this stage made."""
    image = job.results[stage.name] / IMAGE
    job.go_on_from(open_image(image, job.report, work, memory=f"{stage.name}.json"))


def _foresee(job: Job, inspect: Stage) -> None:
    """Begin what most images need, where it is not known yet what this one does."""
    if job.work.result(inspect.name, inspect.key(job)) is None:
        for stage in _wanted(job):
            if stage.foresee:
                stage.foresee(job)


def _begin(job: Job) -> None:
    """Begin what can run beside the coming stages. Their keys hang on keys, not on results."""
    for stage in _wanted(job):
        if stage.name not in job.keys:
            job.keys[stage.name] = stage.key(job)
            if job.work.result(stage.name, job.keys[stage.name]) is not None:
                job.withdraw(stage.name)
            elif stage.begin:
                stage.begin(job)


def _planned_steps(job: Job, work: WorkDir) -> Iterator[Step]:
    """The lines of the plan. Nothing is known of what comes behind an image still to be made."""
    unmade = ""
    for stage in _wanted(job, REMAKING + STAGES):
        if unmade:
            why = f"what it does is known once there is the image of {unmade}"
            yield Step(stage.name, "will run", why)
            continue
        yield _planned(stage, job, work)
        if stage in REMAKING and stage.name in job.results:
            _go_on_from(stage, job, work)
        elif stage in REMAKING:
            unmade = stage.name


def _planned(stage: Stage, job: Job, work: WorkDir) -> Step:
    """A stage's line of the plan, and its result where the following lines depend on it."""
    if not set(stage.reads) <= {*job.results, *job.keys}:
        return Step(stage.name, "will run", "what it does is known once the image is inspected")
    if stage.name not in FIRST and "inspect" not in job.results:
        return Step(stage.name, "will run", "what it does is known once the image is inspected")
    key = stage.key(job)
    job.keys[stage.name] = key
    found = work.result(stage.name, key)
    if found:
        job.results[stage.name] = found
        return Step(stage.name, "have", "nothing it depends on has changed")
    why = _why(stage, job, work)
    if stage.name in QUICK and job.engine == "direct":
        _run_stage(stage, job)
    return Step(stage.name, "will run", why)


def _why(stage: Stage, job: Job, work: WorkDir) -> str:
    """What differs from the last time this stage ran here."""
    for folder in sorted(work.path.glob(f"{stage.name}-*")):
        try:
            old = msgspec.json.decode((folder / INPUTS).read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError):
            continue
        new = msgspec.to_builtins(stage.inputs(job))
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return f"changed: {', '.join(changed)}" if changed else "its result was altered"
    return "never run here"


def _build_key(job: Job) -> str:
    """What a finished build depends on: all its stages, and what the manifest alone says."""
    choice = job.choice
    parts = [
        __version__,
        manifest.VERSION,
        job.keys,
        choice.name,
        choice.layout,
        choice.kernel_args,
    ]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
