"""Stage scrub: the image without secrets and identity; where it is asked for, all is made of that.

The scrubbed image is kept as a result: no later run scrubs again, or writes the archive anew. It is
made outside of scratch, under the same name each time, for a killed run may have written the
archive already, and only a run that makes the same image takes that over
(bakery/build/scrub/output.py).
"""

import hashlib
import os
from pathlib import Path

import msgspec

from bakery.build.scrub import rules
from bakery.build.scrub.find import Findings
from bakery.build.scrub.output import Draft
from bakery.build.scrub.rules import Rule
from bakery.build.scrub.work import Request, scrub
from bakery.build.spec import Scrub
from bakery.build.stages.job import SOURCE, Job
from bakery.build.stages.stage import IMAGE, Given, Inputs, Stage
from bakery.host.report import Step
from bakery.image.opened import Opened

NAME = "scrub"


class ScrubGiven(Given, frozen=True, kw_only=True):
    """What was asked for, and the rules that apply."""

    request: Scrub
    rules: tuple[Rule, ...]

    def told(self) -> dict[str, object]:
        """The rules and the key by their content, the archive by its name."""
        kept = self.request.recovery
        return {
            "rules": hashlib.sha256(msgspec.json.encode(self.rules)).hexdigest(),
            "recovery": kept.archive.name if kept else None,
            "public key": _digest(kept.public_key) if kept else None,
            "left unsearched": sorted(self.request.leave_unsearched),
        }


def run(inputs: Inputs[ScrubGiven], folder: Path, step: Step) -> Opened | None:
    """Write `image`."""
    given = inputs.given
    made = inputs.under_way / folder.name
    opened = None
    if not made.exists():

        def show(findings: Findings) -> None:
            for note in (
                *findings.notes,
                *(f"not searched: {i.told}" for i in findings.unsearched),
            ):
                step.note(note)

        made.parent.mkdir(exist_ok=True)
        request = Request(
            rules=given.rules,
            recovery=given.request.recovery,
            leave_unsearched=given.request.leave_unsearched,
        )
        found, opened = scrub(inputs.opened, Draft(made), request, inputs.report, show, inputs.open)
        step.summary(f"{len(found.files)} files and folders taken")
    os.link(made, folder / IMAGE)
    return opened


def _digest(key: Path) -> str:
    """What tells one public key from another; it may be spelled in place of a file's name."""
    content = key.read_bytes() if key.exists() else os.fsencode(key)
    return hashlib.sha256(content).hexdigest()


def _given(job: Job) -> ScrubGiven:
    request = job.options.scrub
    assert request is not None
    return ScrubGiven(request=request, rules=rules.load(request.rules))


STAGE = Stage(
    name=NAME,
    version=2,
    text="secrets, identity and deleted data out of the image",
    reads=(SOURCE,),
    given=_given,
    wanted=lambda options: options.scrub is not None,
    remakes=True,
    under_way="scrubbing",
    run=run,
)
