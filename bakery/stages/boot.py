"""Stage boot: the kernel and the initrd that the chosen boot entry names."""

from pathlib import Path

from bakery.errors import BakeryError
from bakery.report import Step
from bakery.stages.job import Job, Stage

# The kernel looks for the next archive at a multiple of four bytes
# (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
ALIGNMENT = 4
COPY_BYTES = 1 << 20


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `kernel` and `ramdisk`; nothing where the image is only taken whole."""
    choice = job.choice
    if choice.entry is None:
        step.summary("none: the disk boots by its own loader")
        return
    entry = choice.entry
    engine = job.session(job.engine)
    volume = job.inspection.survey.volume(job.inspection.boot)
    assert volume is not None
    engine.copy_out(volume, entry.kernel, folder / "kernel")
    pieces = []
    for number, initrd in enumerate(entry.initrds):
        pieces.append(folder / f"initrd-{number}")
        engine.copy_out(volume, initrd, pieces[-1])
    _join(pieces, folder / "ramdisk")
    for file in (folder / "kernel", folder / "ramdisk"):
        if not file.stat().st_size:
            raise BakeryError(f"the {file.name} of {entry.id} is an empty file")
    step.summary(f"{entry.kernel}, {', '.join(entry.initrds)}")


def _join(pieces: list[Path], destination: Path) -> None:
    """One ramdisk of several initrds, in their order; most often there is just one."""
    if len(pieces) == 1:
        pieces[0].rename(destination)
        return
    with destination.open("wb") as target:
        for piece in pieces:
            with piece.open("rb") as source:
                while data := source.read(COPY_BYTES):
                    target.write(data)
            target.write(bytes(-target.tell() % ALIGNMENT))
            piece.unlink()


STAGE = Stage(
    name="boot",
    version=1,
    text="kernel and ramdisk out of the image",
    reads=("inspect",),
    options=lambda job: {"entry": job.choice.entry.id if job.choice.entry else None},
    run=run,
)
