"""Stage pack: the base as a zstd file with an index and a block map, where that is asked for.

It follows the copy range by range, so most of it is done when the copy is. A base that an earlier
build left is packed from where it lies.
"""

import contextlib
from pathlib import Path

from bakery.build.stages import base
from bakery.build.stages.base import Copying
from bakery.build.stages.stage import Given, Inputs, Stage
from bakery.disk.packed import packed_index
from bakery.host.errors import BakeryError
from bakery.host.folders import sync
from bakery.host.pool import Pool
from bakery.host.report import Step
from bakery.manifest.manifest import PACKED

NAME = "pack"
FRAMES, INDEX, BLOCK_MAP = PACKED


class Packing:
    """The packing, once started in a thread of its own, behind the copy."""

    def __init__(self, copying: Copying, scratch: Path) -> None:
        self.path = scratch / FRAMES
        self._copying = copying
        self._step: Step | None = None
        self._given_up = False
        self._pool = Pool(1)

    def start(self) -> None:
        """Begin; from here on it is ended by `close` alone."""
        self._running = self._pool.submit(self._run)

    def finish(self, step: Step) -> tuple[packed_index.Index, bytes]:
        """Wait for the end: the index, and the block map's text; the frames are at `path`."""
        self._step = step
        return self._running.result()

    def close(self) -> None:
        """End it, wherever it is; it may be waiting for the copy."""
        self._given_up = True
        self._copying.give_up()
        self._pool.shutdown()

    def _run(self) -> tuple[packed_index.Index, bytes]:
        from bakery.disk.packed.packing import Packer

        copying, at = self._copying, self._copying.landed(0)
        with (
            self.path.open("xb") as target,
            contextlib.closing(
                Packer(copying.reader, copying.size_bytes, target, copying.edits())
            ) as packer,
        ):
            packer.take(at, self._progress)
            while at < copying.size_bytes:
                at = copying.landed(at)
                packer.take(at, self._progress)
            made = packer.finish()
        sync(self.path)
        return made

    def _progress(self, done_bytes: int, total_bytes: int) -> None:
        if self._given_up:
            raise BakeryError("the packing was cancelled")
        if self._step:
            self._step.progress(done_bytes, total_bytes)


class PackGiven(Given, frozen=True, kw_only=True):
    """How the base is compressed."""

    compress: str


def begin(inputs: Inputs[PackGiven]) -> Packing | None:
    """Follow the copy, where there is one."""
    copying = inputs.beside(base.NAME, Copying)
    return Packing(copying, inputs.scratch) if copying else None


def run(inputs: Inputs[PackGiven], folder: Path, step: Step) -> None:
    """Write the frames, their index, and the block map."""
    packing = inputs.beside(NAME, Packing)
    if packing:
        index, block_map = packing.finish(step)
        packing.path.rename(folder / FRAMES)
    else:
        index, block_map = _packed(inputs.file(base.NAME, base.NAME), folder / FRAMES, step)
    (folder / INDEX).write_bytes(packed_index.encode(index))
    (folder / BLOCK_MAP).write_bytes(block_map)
    step.summary(f"{index.packed_bytes} bytes, {len(index.chunks)} chunks with data")


def _packed(image: Path, target: Path, step: Step) -> tuple[packed_index.Index, bytes]:
    from bakery.disk.packed.packing import pack_file

    with target.open("xb") as file:
        made = pack_file(image, file, step.progress)
    sync(target)
    return made


STAGE = Stage(
    name=NAME,
    version=1,
    text="compress it, chunk by chunk",
    reads=(base.NAME,),
    given=lambda job: PackGiven(compress=job.options.compress),
    wanted=lambda options: bool(options.compress),
    begin=begin,
    run=run,
)
