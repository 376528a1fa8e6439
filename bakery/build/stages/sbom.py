"""Stage sbom: what is installed in the chosen system, as the documents that are asked for."""

from pathlib import Path

from bakery import __version__
from bakery.build.sbom import document
from bakery.build.sbom.read import read
from bakery.build.stages.job import SOURCE
from bakery.build.stages.stage import Given, Inputs, Stage
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.image.boot.entry import BootEntry
from bakery.manifest.manifest import SBOM_FILES, SbomForm

NAME = "sbom"


class SbomGiven(Given, frozen=True, kw_only=True):
    """The documents that are asked for, of which system, and what else stands in them."""

    forms: tuple[SbomForm, ...]
    name: str
    entry: BootEntry | None
    root: Volume | None
    time: int | None
    bakery: str = __version__


def run(inputs: Inputs[SbomGiven], folder: Path, step: Step) -> None:
    """Write the documents."""
    given = inputs.given
    entry, root = given.entry, given.root
    if entry is None or root is None:
        reason = inputs.inspection.refusals.get("lv", "it has no boot entry")
        raise BakeryError(
            f"cannot tell what is installed in the image: {reason}",
            "build it without a bill of materials",
        )
    scratch = inputs.scratch / NAME
    scratch.mkdir()
    installed = read(inputs.opened.session(), root, entry.etc.removesuffix("/etc"), scratch)
    subject = document.subject(given.name, inputs.image.digest, installed)
    for form in given.forms:
        (folder / SBOM_FILES[form]).write_bytes(_encoded(form, subject))
    step.summary(f"{len(installed.packages)} packages, {', '.join(given.forms)}")


def _encoded(form: SbomForm, subject: document.Subject) -> bytes:
    try:
        if form == "spdx":
            from bakery.build.sbom.spdx import encode
        else:
            from bakery.build.sbom.cyclonedx import encode
    except ModuleNotFoundError as error:
        raise BakeryError(
            f"--sbom {form} needs the Python package {error.name}, which is not installed",
            "install bakery with its extra: pip install 'bakery[sbom]'",
        ) from error
    return encode(subject)


STAGE = Stage(
    name=NAME,
    version=1,
    text="what is installed",
    reads=(SOURCE, "inspect"),
    given=lambda job: SbomGiven(
        forms=job.options.sbom,
        name=job.spec.name,
        entry=job.spec.entry,
        root=job.spec.root,
        time=document.source_date_epoch(),
    ),
    wanted=lambda options: bool(options.sbom),
    run=run,
)
