"""Stage scrub: the image without secrets and identity; where it is asked for, all is made of that.

The scrubbed image is kept as a result: no later run scrubs again, or writes the archive anew. It is
made outside of scratch, under the same name each time, for a killed run may have written the
archive already, and only a run that makes the same image takes that over (bakery/scrub/output.py).
"""

import hashlib
import os
import shutil
from pathlib import Path

import msgspec

from bakery.choice import Scrub
from bakery.report import Step
from bakery.scrub import rules
from bakery.scrub.find import Findings
from bakery.scrub.work import Recovery, scrub, source
from bakery.stages.job import IMAGE, Job, Stage
from bakery.workdir import WorkDir

NAME = "scrub"
UNDER_WAY = "scrubbing"


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `image`."""
    order = job.options.scrub
    assert order is not None
    made = job.work.path / UNDER_WAY / folder.name
    if not made.exists():

        def show(findings: Findings) -> None:
            for note in findings.notes:
                step.note(note)

        made.parent.mkdir(exist_ok=True)
        image, known = source(job.image.path), rules.load(order.rules)
        found = scrub(image, made, known, _recovery(order), job.report, show)
        step.summary(f"{len(found.files)} files and folders taken")
    os.link(made, folder / IMAGE)


def settle(work: WorkDir) -> None:
    """The result stands. Its other name goes at once: later it would look like a change of it."""
    shutil.rmtree(work.path / UNDER_WAY, ignore_errors=True)


def is_kept(work: WorkDir) -> bool:
    """Whether a scrubbed image is there, or what a killed run knew of its archive.

    Without it, that archive would stand in the way.
    """
    return any(work.path.glob(f"{NAME}-*")) or any(work.path.glob(f"{UNDER_WAY}/*"))


def _recovery(order: Scrub) -> Recovery | None:
    if order.recovery is None or order.public_key is None:
        return None
    return Recovery(order.recovery, order.public_key)


def _options(job: Job) -> dict[str, object]:
    order = job.options.scrub
    assert order is not None
    known = msgspec.json.encode(rules.load(order.rules))
    return {
        "rules": hashlib.sha256(known).hexdigest(),
        "recovery": order.recovery.name if order.recovery else None,
        "public key": _digest(order.public_key) if order.public_key else None,
    }


def _digest(key: Path) -> str:
    """What tells one public key from another; it may be spelled in place of a file's name."""
    content = key.read_bytes() if key.exists() else os.fsencode(key)
    return hashlib.sha256(content).hexdigest()


STAGE = Stage(
    name=NAME,
    version=1,
    text="secrets, identity and deleted data out of the image",
    reads=("source",),
    options=_options,
    wanted=lambda job: job.options.scrub is not None,
    run=run,
)
