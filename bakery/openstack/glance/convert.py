"""A base as qcow2, for the length of an upload: a file under DIR/.bakery that goes again.

qemu-img writes the data alone, in order, so the same base becomes the same bytes.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bakery.disk import blockdevs
from bakery.disk.copy.copy import LIMITS, TIMEOUT_SECONDS, Progress, scaled
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed
from bakery.host.sandbox import Cage, run_confined
from bakery.host.workdir import FOLDER

SCRATCH = "upload"


@contextlib.contextmanager
def as_qcow2(base: Path, *, compress: bool, progress: Progress) -> Iterator[Path]:
    """The raw file `base` as a qcow2 file that lives as long as the block.

    `progress` is called with bytes of the base passed over and in all. A second caller on the
    same folder waits for the first. Raises BakeryError.
    """
    folder = base.absolute().parent / FOLDER
    with _locked(folder), _scratch(folder) as scratch:
        made = scratch / f"{base.name}.qcow2"
        _convert(base.absolute(), made, compress=compress, progress=progress)
        yield made


def _convert(base: Path, made: Path, *, compress: bool, progress: Progress) -> None:
    size = base.stat().st_size
    argv = ["qemu-img", "convert", "-p", *(["-c"] if compress else []), "-O", "qcow2"]
    cage = Cage(read=(base,), write=(made.parent,), limits=LIMITS)
    try:
        run_confined(
            [*argv, blockdevs.name(blockdevs.image(base, "raw")), made],
            cage,
            timeout=TIMEOUT_SECONDS,
            on_stdout=scaled(progress, 0, size, size),
        )
    except CommandFailed as error:
        if "No space left" in error.tail:
            raise BakeryError(
                f"the disk that holds {made.parent} is full: the base cannot become qcow2 there",
                "free some space, or publish it with --disk-format raw",
            ) from error
        raise


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    scratch = folder / SCRATCH
    try:
        folders.fresh(scratch)
        yield scratch
    finally:
        folders.remove(scratch)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's `upload.lock` alone; nothing of this stays behind."""
    lock = folder / f"{SCRATCH}.lock"
    try:
        descriptor = _lock(lock)
    except OSError as error:
        raise BakeryError(
            f"{folder} cannot be written: {error.strerror}",
            "the base becomes qcow2 there: copy the build elsewhere, or use --disk-format raw",
        ) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _lock(path: Path) -> int:
    """A descriptor that holds the lock; one that was removed while it was waited for is none."""
    while True:
        folders.make(path.parent, mode=0o700)
        try:
            descriptor = folders.open_lock(path)
        except FileNotFoundError:
            continue  # another upload removed the folder between the two calls
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)
