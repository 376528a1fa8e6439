"""Stage inspect: what the image is and what its boot loader would start."""

from pathlib import Path

from bakery.build.stages.job import INSPECTION, SOURCE
from bakery.build.stages.stage import Given, Inputs, Stage, write_json
from bakery.host.report import Step
from bakery.image import inspection
from bakery.image.engines.choose import EngineName

NAME, FILE = INSPECTION


class InspectGiven(Given, frozen=True, kw_only=True):
    """The engine that looks, and whether it has a key for what is encrypted."""

    engine: EngineName
    unlocked: bool


def run(inputs: Inputs[InspectGiven], folder: Path, step: Step) -> None:
    """Write `inspection.json`."""
    found = inputs.opened.inspection
    write_json(folder / FILE, found)
    for note in found.notes:
        step.note(note)
    able = [layout for layout in inspection.LAYOUTS if not found.why_not(layout)]
    step.summary(f"{found.os_name or 'unknown system'}; can become {', '.join(able) or 'nothing'}")


STAGE = Stage(
    name=NAME,
    version=5,
    text="volumes, deployments, kernel arguments",
    reads=(SOURCE,),
    given=lambda job: InspectGiven(engine=job.engine, unlocked=job.unlocked),
    settles=True,
    run=run,
)
