"""Stage files: the image with files of this machine in it; where any are given, all is made of it.

The new image is kept as a result, as the scrubbed one is.
"""

from pathlib import Path

from bakery import inspection
from bakery.choice import choose
from bakery.disk import digest
from bakery.errors import BakeryError
from bakery.report import Step
from bakery.scrub.add import add, placed
from bakery.scrub.systems import Place
from bakery.scrub.work import source
from bakery.stages.job import IMAGE, Job, Stage


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `image`."""
    files = job.options.files
    engine = job.session(job.engine)
    inspected = inspection.inspect(engine)
    choice = choose(inspected, job.options, job.source.path.stem, job.engine)
    if choice.entry is None or choice.root is None:
        reason = inspected.refusals.get("lv", "it has no boot entry")
        raise BakeryError(f"files cannot be put into the image: {reason}")
    found = placed(engine, Place(choice.root, choice.entry.etc), files)
    job.close_session(job.engine)
    tar = job.work.scratch / "files.tar"
    add(source(job.image.path), folder / IMAGE, found, tar, job.report)
    tar.unlink()
    step.summary(f"{len(found)} files")


def _options(job: Job) -> dict[str, object]:
    """The files by content: when they were written makes no difference."""
    told = [
        (file.path, file.mode, file.owner, file.group, digest.sha256(file.source))
        for file in job.options.files
    ]
    return {"files": told, "deployment": job.options.deployment or 0}


STAGE = Stage(
    name="files",
    version=1,
    text="files into the image",
    reads=("source",),
    options=_options,
    wanted=lambda job: bool(job.options.files),
    run=run,
)
