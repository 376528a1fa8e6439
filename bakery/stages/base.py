"""Stage base: the partition, the root filesystem or the disk, copied by its data alone.

The copy is of the source itself; the edits go over it range by range. So nothing can differ but
what the manifest lists, and no overlay stands between qemu-img and the image.
"""

from pathlib import Path

from bakery.disk import changes, copy, digest
from bakery.disk.changes import Change
from bakery.disk.extents import Extent, clipped
from bakery.manifest import Artifact
from bakery.report import Step
from bakery.stages.edit import patches
from bakery.stages.job import Job, Stage, write_json


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `base` and `base.json`."""
    choice, base = job.choice, folder / "base"
    size = sum(extent.length for extent in choice.place)
    edits = [part for change in patches(job) for part in changes.placed(change, choice.place)]
    with digest.Growing(base, size) as growing:

        def landed(written: Extent, digests: dict[int, bytes] | None) -> None:
            growing.landed(written, digests)
            for chunk in _patch(base, edits, written):
                growing.altered(chunk)

        reads = [job.image.path]
        copy.copy_ranges(job.image.node, reads, choice.place, base, step.progress, landed)
        made = growing.fingerprint()
    job.image.check_unchanged()
    whole = digest.sha256(folder / "base") if job.options.sha256 else ""
    artifact = Artifact(made.size_bytes, made.digest, whole, made.extents)
    write_json(folder / "base.json", artifact)
    data = sum(extent.length for extent in made.extents)
    step.summary(f"{made.size_bytes} bytes, of which {data} are data")


def _patch(base: Path, edits: list[Change], written: Extent) -> set[int]:
    """Put the edited bytes where the source's were just copied to; the chunks they lie in."""
    chunks: set[int] = set()
    with base.open("r+b") as file:
        for edit in edits:
            for part in clipped([edit.extent], written):
                first = part.offset - edit.extent.offset
                file.seek(part.offset)
                file.write(edit.data[first : first + part.length])
                chunks |= set(digest.by_chunk([part]))
    return chunks


STAGE = Stage(
    name="base",
    version=2,
    text="copy what goes on the node's disk",
    reads=("edit",),
    options=lambda job: {
        "layout": job.choice.layout,
        "place": job.choice.place,
        "sha256": job.options.sha256,
    },
    run=run,
)
