"""Stage pack: the base as a zstd file with an index and a block map, where that is asked for.

It follows the copy range by range, so most of it is done when the copy is. A base that an earlier
build left is packed from where it lies.
"""

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

from bakery.disk import packed
from bakery.errors import BakeryError
from bakery.manifest import PACKED
from bakery.pool import Pool
from bakery.report import Step
from bakery.stages import base
from bakery.stages.base import Copying
from bakery.stages.job import Job, Stage

NAME = "pack"
FRAMES, INDEX, BLOCK_MAP = PACKED


class Packing:
    """The packing, once started in a thread of its own, behind the copy."""

    def __init__(self, job: Job, copying: Copying) -> None:
        self.path = job.work.scratch / FRAMES
        self._copying = copying
        self._step: Step | None = None
        self._given_up = False
        self._pool = Pool(1)

    def start(self) -> None:
        """Begin; from here on it is ended by `close` alone."""
        self._running = self._pool.submit(self._run)

    def finish(self, step: Step) -> tuple[packed.Index, bytes]:
        """Wait for the end: the index, and the block map's text; the frames are at `path`."""
        self._step = step
        return self._running.result()

    def close(self) -> None:
        """End it, wherever it is; it may be waiting for the copy."""
        self._given_up = True
        self._copying.give_up()
        self._pool.shutdown()

    def _run(self) -> tuple[packed.Index, bytes]:
        from bakery.disk.packing import Packer

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
            _bring_to_disk(target)
            return made

    def _progress(self, done_bytes: int, total_bytes: int) -> None:
        if self._given_up:
            raise BakeryError("the packing was given up")
        if self._step:
            self._step.progress(done_bytes, total_bytes)


def begin(job: Job) -> None:
    """Follow the copy, where there is one."""
    if base.NAME in job.begun_stages:
        packing = Packing(job, job.beside(base.NAME, Copying))
        job.begun(NAME, packing)
        packing.start()


def run(job: Job, folder: Path, step: Step) -> None:
    """Write the frames, their index, and the block map."""
    if NAME in job.begun_stages:
        packing = job.beside(NAME, Packing)
        index, block_map = packing.finish(step)
        packing.path.rename(folder / FRAMES)
    else:
        index, block_map = _packed(job.results[base.NAME] / base.NAME, folder / FRAMES, step)
    (folder / INDEX).write_bytes(packed.encode(index))
    (folder / BLOCK_MAP).write_bytes(block_map)
    step.summary(f"{index.packed_bytes} bytes, {len(index.chunks)} chunks with data")


def _packed(image: Path, target: Path, step: Step) -> tuple[packed.Index, bytes]:
    from bakery.disk.packing import pack_file

    with target.open("xb") as file:
        made = pack_file(image, file, step.progress)
        _bring_to_disk(file)
        return made


def _bring_to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


STAGE = Stage(
    name=NAME,
    version=1,
    text="compress it, chunk by chunk",
    reads=(base.NAME,),
    options=lambda job: {"compress": job.options.compress},
    wanted=lambda job: bool(job.options.compress),
    begin=begin,
    run=run,
)
