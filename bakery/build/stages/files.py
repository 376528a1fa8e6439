"""Stage files: the image with files of this machine in it; where any are given, all is made of it.

The new image is kept as a result, as the scrubbed one is.
"""

from pathlib import Path

from bakery.build.scrub.add import add, placed
from bakery.build.scrub.output import Draft
from bakery.build.spec import chosen
from bakery.build.stages.job import SOURCE
from bakery.build.stages.stage import IMAGE, Given, Inputs, Stage
from bakery.disk import digest
from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.image.engines.base import Addition
from bakery.image.reader import Place
from bakery.manifest.manifest import Layout


class FilesGiven(Given, frozen=True, kw_only=True):
    """The files, and the system that they are for.

    `layout` may be refused here already; it makes no difference to the image.
    """

    files: tuple[Addition, ...]
    deployment: int | None
    layout: Layout | None

    def told(self) -> dict[str, object]:
        """The files by content: when they were written makes no difference."""
        files = [
            (file.path, file.mode, file.owner, file.group, digest.sha256(file.source))
            for file in self.files
        ]
        return {"files": files, "deployment": self.deployment or 0}


def run(inputs: Inputs[FilesGiven], folder: Path, step: Step) -> None:
    """Write `image`."""
    given, opened = inputs.given, inputs.opened
    inspected = opened.inspection
    _, entry = chosen(inspected, given.layout, given.deployment)
    root = inspected.survey.volume(entry.root) if entry else None
    if entry is None or root is None:
        reason = inspected.refusals.get("lv", "it has no boot entry")
        raise BakeryError(f"files cannot be put into the image: {reason}")
    found = placed(opened.reader, inspected, Place(root, entry.etc), given.files)
    tar = inputs.scratch / "files.tar"
    add(opened, Draft(folder / IMAGE), found, tar, inputs.report)
    tar.unlink()
    step.summary(f"{len(found)} files")


STAGE = Stage(
    name="files",
    version=1,
    text="files into the image",
    reads=(SOURCE,),
    given=lambda job: FilesGiven(
        files=job.options.files, deployment=job.options.deployment, layout=job.options.layout
    ),
    wanted=lambda options: bool(options.files),
    remakes=True,
    run=run,
)
