"""Stage sbom: what is installed in the chosen system, as the documents that are asked for."""

from pathlib import Path

from bakery import __version__
from bakery.errors import BakeryError
from bakery.manifest import SBOM_FILES, SbomForm
from bakery.report import Step
from bakery.sbom import document
from bakery.sbom.read import read
from bakery.stages.job import Job, Stage

NAME = "sbom"


def run(job: Job, folder: Path, step: Step) -> None:
    """Write the documents."""
    entry, root = job.choice.entry, job.choice.root
    if entry is None or root is None:
        reason = job.inspection.refusals.get("lv", "it has no boot entry")
        raise BakeryError(
            f"what is installed in the image cannot be told: {reason}",
            "build it without a bill of materials",
        )
    scratch = job.work.scratch / NAME
    scratch.mkdir()
    installed = read(job.session(job.engine), root, entry.etc.removesuffix("/etc"), scratch)
    subject = document.subject(job.choice.name, job.image.digest, installed)
    for form in job.options.sbom:
        (folder / SBOM_FILES[form]).write_bytes(_encoded(form, subject))
    step.summary(f"{len(installed.packages)} packages, {', '.join(job.options.sbom)}")


def _encoded(form: SbomForm, subject: document.Subject) -> bytes:
    try:
        if form == "spdx":
            from bakery.sbom.spdx import encode
        else:
            from bakery.sbom.cyclonedx import encode
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
    reads=("inspect",),
    options=lambda job: {
        "forms": job.options.sbom,
        "name": job.choice.name,
        "entry": job.choice.entry.id if job.choice.entry else None,
        "time": document.source_date_epoch(),
        "bakery": __version__,
    },
    wanted=lambda job: bool(job.options.sbom),
    run=run,
)
