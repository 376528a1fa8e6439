"""Stage boot: the kernel and the initrd that the chosen boot entry names."""

import shutil
from pathlib import Path

from bakery.build.stages.job import SOURCE
from bakery.build.stages.stage import Given, Inputs, Stage
from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.engines.base import too_large

# The kernel looks for the next archive at a multiple of four bytes
# (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
ALIGNMENT = 4
# Of a kernel, and of all initrds together: several times the largest there are. A file of holes
# takes no room in an image, and would fill the disk here.
LIMIT_BYTES = 512 << 20
CHUNK_BYTES = 16 << 20
"""Of a file of which only a part is meant, so much is read at a time."""


class BootGiven(Given, frozen=True, kw_only=True):
    """The boot entry that was chosen; None where the image is only taken whole."""

    entry: BootEntry | None


def run(inputs: Inputs[BootGiven], folder: Path, step: Step) -> None:
    """Write `kernel` and `ramdisk`; nothing where the image is only taken whole."""
    entry = inputs.given.entry
    if entry is None:
        step.summary("none: the disk boots by its own loader")
        return
    _copy(inputs, entry.kernel, folder / "kernel", LIMIT_BYTES)
    pieces, room = [], LIMIT_BYTES
    for number, initrd in enumerate(entry.initrds):
        pieces.append(folder / f"initrd-{number}")
        _copy(inputs, initrd, pieces[-1], room)
        room -= pieces[-1].stat().st_size
    _join(pieces, folder / "ramdisk")
    for file in (folder / "kernel", folder / "ramdisk"):
        if not file.stat().st_size:
            raise BakeryError(f"the {file.name} of {entry.id} is an empty file")
    files = dict.fromkeys(file.path for file in (entry.kernel, *entry.initrds))
    step.summary(", ".join(files))


def _copy(inputs: Inputs[BootGiven], file: ImageFile, destination: Path, limit: int) -> None:
    """Copy a file of the image out of it, or the part of one that is meant."""
    volume = inputs.inspection.survey.volume(file.volume)
    assert volume is not None
    engine = inputs.opened.session()
    if not file.length:
        engine.copy_out(volume, file.path, destination, limit)
        return
    if file.length > limit:
        raise too_large(volume, file.path, limit)
    with destination.open("wb") as target:
        for offset in range(file.offset, file.offset + file.length, CHUNK_BYTES):
            length = min(CHUNK_BYTES, file.offset + file.length - offset)
            target.write(engine.piece(volume, file.path, offset, length))
    if destination.stat().st_size != file.length:
        raise BakeryError(f"{file} is cut short")


def _join(pieces: list[Path], destination: Path) -> None:
    """One ramdisk of several initrds, in their order; most often there is just one."""
    if len(pieces) == 1:
        pieces[0].rename(destination)
        return
    with destination.open("wb") as target:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, target)
            target.write(bytes(-target.tell() % ALIGNMENT))
            piece.unlink()


STAGE = Stage(
    name="boot",
    version=2,
    text="kernel and ramdisk out of the image",
    reads=(SOURCE, "inspect"),
    given=lambda job: BootGiven(entry=job.spec.entry),
    run=run,
)
