"""Stage check: nothing touches an image that is not safe to hand on."""

from pathlib import Path

from bakery.disk import safety
from bakery.report import Step
from bakery.source import refuse_unsafe
from bakery.stages.job import Job, Stage, write_json


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `check.json`; BakeryError with the finding where the image is refused."""
    found = job.image.checked or safety.check(job.image.path)
    refuse_unsafe(job.image.path, found)
    for finding in found.findings:
        step.note(finding.message)
    write_json(folder / "check.json", found)
    step.summary(f"{found.format}, {found.virtual_size_bytes} bytes as a disk")


STAGE = Stage(
    name="check",
    version=1,
    text="is the image safe to open",
    reads=("source",),
    options=lambda _job: {},
    run=run,
)
