"""Planning a build: what would run, and why. Nothing is built."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from bakery.build.spec import Options
from bakery.build.stages.job import Job
from bakery.build.stages.stage import INPUTS, AnyStage, go_on_from, run_stage
from bakery.build.stages.table import STAGES
from bakery.host.report import silent
from bakery.host.workdir import WorkDir
from bakery.image import source
from bakery.image.engines.choose import can, pick
from bakery.image.opened import MEANS, Means
from bakery.manifest.folder import claim
from bakery.manifest.manifest import LeftBehind

State = Literal["have", "will run"]
UNCHANGED = "nothing it depends on has changed"


class PlannedStage(msgspec.Struct, frozen=True):
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
    steps: tuple[PlannedStage, ...]
    left_behind: tuple[LeftBehind, ...] = ()
    """What the base would not carry of all that the system names."""


def plan(image: Path, options: Options, output: Path, means: Means = MEANS) -> Plan:
    """What a build would do now. Where it takes no appliance, the image is inspected on the way,
    since what is left to do depends on what it is.
    """
    claim(output)
    engine, reason, _ = pick(options.engine, "map" if means.unlocked else None)
    work = WorkDir(output)
    with tempfile.TemporaryDirectory(prefix="bakery-") as folder:
        aside = WorkDir(Path(folder))
        given = source.open_image(image, silent(), work, options.source_sha256)
        job = Job(given, options, engine, aside, silent(), means)
        with aside.locked(), contextlib.closing(job):
            steps = tuple(_steps(job, work))
            spec = job.spec if job.is_settled else None
    if spec and spec.edit_reason:
        reason = f"{reason}; {spec.edit_engine} edits, since {spec.edit_reason}"
    left = spec.left_behind if spec else ()
    return Plan(str(output), spec.layout if spec else "", engine, reason, steps, left)


def _steps(job: Job, work: WorkDir) -> Iterator[PlannedStage]:
    """The lines of the plan. Nothing is known of what comes behind an image still to be made."""
    unmade, memory = "", source.MEMORY
    stages = [stage for stage in STAGES if stage.wanted(job.options)]
    for stage in (stage for stage in stages if stage.remakes):
        if unmade:
            yield _behind(stage.name, unmade)
            continue
        yield _planned(stage, job, work)
        if stage.name in job.results:
            memory = go_on_from(stage, job, None, work)
        else:
            unmade = stage.name
    yield _behind("check", unmade) if unmade else _check(job, work.path / memory)
    for stage in (stage for stage in stages if not stage.remakes):
        yield _behind(stage.name, unmade) if unmade else _planned(stage, job, work)


def _behind(name: str, unmade: str) -> PlannedStage:
    why = f"what it does is known once there is the image of {unmade}"
    return PlannedStage(name, "will run", why)


def _check(job: Job, memory: Path) -> PlannedStage:
    """The line of the check, which every image is given as it is opened."""
    if job.image.remembered:
        return PlannedStage("check", "have", UNCHANGED)
    why = "changed: reads source" if memory.exists() else "never run here"
    return PlannedStage("check", "will run", why)


def _planned(stage: AnyStage, job: Job, work: WorkDir) -> PlannedStage:
    """A stage's line of the plan, and its result where the following lines depend on it."""
    if not (stage.remakes or stage.settles or job.is_settled):
        why = "what it does is known once the image is inspected"
        return PlannedStage(stage.name, "will run", why)
    key = stage.key(job)
    job.keys[stage.name] = key
    found = work.result(stage.name, key)
    if found:
        job.results[stage.name] = found
        return PlannedStage(stage.name, "have", UNCHANGED)
    why = _why(stage, job, work)
    if stage.settles and can(job.engine, "quick"):
        run_stage(stage, job)
    return PlannedStage(stage.name, "will run", why)


def _why(stage: AnyStage, job: Job, work: WorkDir) -> str:
    """What differs from the last time this stage ran here."""
    for folder in sorted(work.path.glob(f"{stage.name}-*")):
        try:
            old = msgspec.json.decode((folder / INPUTS).read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError, RecursionError):
            continue
        new = msgspec.json.decode(msgspec.json.encode(stage.inputs(job)))  # as it was written
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return f"changed: {', '.join(changed)}" if changed else "its output was altered"
    return "never run here"
