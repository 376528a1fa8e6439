"""Stage base: the partition, the root filesystem or the disk, copied by its data alone."""

from pathlib import Path

from bakery.disk import copy, digest, nodes
from bakery.manifest import Artifact
from bakery.report import Step
from bakery.stages.edit import OVERLAY
from bakery.stages.job import Job, Stage, write_json


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `base` and `base.json`."""
    choice = job.choice
    overlay = job.results["edit"] / OVERLAY
    source, reads = job.image.node, [job.image.path]
    if overlay.exists():
        source, reads = nodes.overlay(overlay, source), [*reads, overlay]
    base = folder / "base"
    size = sum(extent.length for extent in choice.place)
    growing = digest.Growing(base, size)
    copy.copy_ranges(source, reads, choice.place, base, step.progress, growing.landed)
    made = growing.fingerprint()
    job.image.check_unchanged()
    whole = digest.sha256(folder / "base") if job.options.sha256 else ""
    artifact = Artifact(made.size_bytes, made.digest, whole, made.extents)
    write_json(folder / "base.json", artifact)
    data = sum(extent.length for extent in made.extents)
    step.summary(f"{made.size_bytes} bytes, of which {data} are data")


STAGE = Stage(
    name="base",
    version=1,
    text="copy what goes on the node's disk",
    reads=("edit",),
    options=lambda job: {
        "layout": job.choice.layout,
        "place": job.choice.place,
        "sha256": job.options.sha256,
    },
    run=run,
)
