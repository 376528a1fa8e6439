"""Running a build: one stage after another, and some of their work beside others.

A stage whose key has a result is not run again, so a second build is a resume. The folder holds
a finished build exactly when it holds a manifest.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bakery import __version__
from bakery.build.ahead import Ahead
from bakery.build.spec import Options
from bakery.build.stages import commit
from bakery.build.stages.job import Job
from bakery.build.stages.stage import AnyStage, Inputs, go_on_from, is_kept, run_stage, settle
from bakery.build.stages.table import STAGES
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.host.workdir import WorkDir
from bakery.image import left_behind, source
from bakery.image.engines.choose import pick
from bakery.image.opened import MEANS, Means
from bakery.manifest import manifest
from bakery.manifest.folder import claim
from bakery.manifest.manifest import Build


def build(
    image: Path, options: Options, output: Path, report: Report, means: Means = MEANS
) -> tuple[Build, bool]:
    """Build `image` into `output`; the finished build, and whether anything had to be done.

    What is refused leaves nothing behind; what is interrupted leaves finished stages in
    `output/.bakery`, where the same call goes on from. An image that was made of the given one
    may stay in any case: what was taken from it may have been kept by that run alone.
    """
    claim(output)
    engine = pick(options.engine, "map" if means.unlocked else None).name
    work = WorkDir(output)
    with work.locked(), _leaving_nothing(work):
        with contextlib.closing(Ahead(options, engine, work, report, means)) as ahead:
            sha256 = options.source_sha256
            given = source.open_image(
                image, report, work, sha256, check=means.check, meanwhile=ahead
            )
            job = Job(given, options, engine, work, report, means, ahead.opened)
            ahead.hand_over(job)
        with contextlib.closing(job):
            prepared = _run_stages(job)
        key = _build_key(job)
        done = commit.committed(job, key)
        if done is not None:
            return Build(output, done), False
        with report.step("commit", f"into {output}") as step:
            made = commit.commit(job, key, prepared or commit.prepare(job))
            step.summary(made.name + manifest.SUFFIX)
        work.prune(set(job.results.values()))
        return Build(output, made), True


@contextlib.contextmanager
def _leaving_nothing(work: WorkDir) -> Iterator[None]:
    """Take the work directory away where an image was refused and nothing was ever built."""
    try:
        yield
    except (BakeryError, OSError) as error:
        kept = any(is_kept(stage, work) for stage in STAGES)
        if not kept and not any(work.output.glob("*" + manifest.SUFFIX)):
            work.remove()
        if isinstance(error, OSError):
            raise BakeryError(f"{error.filename or work.output}: {error.strerror}") from error
        raise


def _run_stages(job: Job) -> commit.Prepared | None:
    """Run all stages; what could be prepared for the commit on the way."""
    prepared = None
    stages = [stage for stage in STAGES if stage.wanted(job.options)]
    for stage in (stage for stage in stages if stage.remakes):
        made = run_stage(stage, job)
        settle(stage, job.work)
        go_on_from(stage, job, made, job.work)
    source.tell_check(job.image, job.report)
    rest = [stage for stage in stages if not stage.remakes]
    for stage in rest:
        if stage.settles:
            _foresee(job, stage, rest)
        if prepared is None and job.beside(stage.name):
            prepared = commit.prepare(job)  # it has begun, and can be waited for later
        run_stage(stage, job)
        if stage.settles:
            for item in job.spec.left_behind:
                job.report.note(left_behind.told(item), stage.name)
            _begin(job, rest)
    return prepared


def _foresee(job: Job, settling: AnyStage, stages: list[AnyStage]) -> None:
    """Begin what most images need, where it is not known yet what this one does."""
    if job.work.result(settling.name, settling.key(job)) is not None:
        return
    for stage in stages:
        if stage.foresee is None or job.beside(stage.name):
            continue
        work = stage.foresee(job.image, job.options, job.work.scratch)
        if work is not None:
            job.begin(stage.name, work)


def _begin(job: Job, stages: list[AnyStage]) -> None:
    """Begin what can run beside the coming stages. Their keys hang on keys, not on results."""
    for stage in stages:
        if stage.name in job.keys:
            continue
        job.keys[stage.name] = stage.key(job)
        if job.work.result(stage.name, job.keys[stage.name]) is not None:
            job.withdraw(stage.name)
        elif stage.begin:
            work = stage.begin(Inputs(job, stage))
            if work is not None and work is not job.beside(stage.name):
                job.begin(stage.name, work)


def _build_key(job: Job) -> str:
    """What a finished build depends on: all its stages, and what the manifest alone says."""
    spec = job.spec
    told = (spec.name, spec.layout, spec.kernel_args, spec.left_behind)
    parts = [__version__, manifest.VERSION, job.keys, *told]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
