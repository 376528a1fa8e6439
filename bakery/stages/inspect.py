"""Stage inspect: what the image is and what its boot loader would start."""

from pathlib import Path

from bakery import inspection
from bakery.report import Step
from bakery.stages.job import Job, Stage, write_json


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `inspection.json`."""
    found = inspection.inspect(job.session(job.engine))
    write_json(folder / "inspection.json", found)
    for note in found.notes:
        step.note(note)
    able = [layout for layout in inspection.LAYOUTS if layout not in found.refusals]
    step.summary(f"{found.os_name or 'unknown system'}; can become {', '.join(able) or 'nothing'}")


STAGE = Stage(
    name="inspect",
    version=1,
    text="volumes, deployments, kernel arguments",
    reads=("source", "check"),
    options=lambda job: {"engine": job.engine},
    run=run,
)
