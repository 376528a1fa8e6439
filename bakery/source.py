"""The image a build starts from: what it is, and a digest that is remembered."""

import os
import threading
from pathlib import Path

import msgspec

from bakery.disk import digest, nodes, safety
from bakery.disk.volumes import PartitionTable
from bakery.errors import BakeryError
from bakery.pool import Pool
from bakery.report import Report, Step
from bakery.workdir import WorkDir, write_whole

MEMORY = "source.json"


class State(msgspec.Struct, frozen=True):
    """What the kernel tells of the file; ctime cannot be set back, so equal means unchanged."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, path: Path) -> "State":
        """The state of the file now; BakeryError when it cannot be told."""
        try:
            stat = path.stat()
        except OSError as error:
            raise BakeryError(f"{path} cannot be read: {error.strerror}") from error
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Image(msgspec.Struct, frozen=True):
    """An image that was looked at: its format by content, its size as a disk, its digest."""

    path: Path
    format: str
    virtual_size_bytes: int
    digest: str
    state: State
    checked: safety.CheckReport | None = None
    """What the check found, where it was made on the way."""
    table: PartitionTable | None = None
    """The partition table that this check saw."""

    @property
    def node(self) -> nodes.Node:
        """The image as a QEMU node that follows nothing the image names."""
        return nodes.image(self.path, self.format)

    def check_unchanged(self) -> None:
        """Raise BakeryError where the file is no longer the one that was looked at."""
        if State.of(self.path) != self.state:
            raise BakeryError(
                f"{self.path} was changed while it was read",
                "stop what writes to it (a running guest?) and build again",
            )


class _Remembered(msgspec.Struct, frozen=True):
    state: State
    digest: str


def open_image(path: Path, report: Report, work: WorkDir) -> Image:
    """Look at an image file; the work directory remembers its digest from run to run."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the last link
    found = safety.identify(absolute)
    state = State.of(absolute)
    memory = work.path / MEMORY
    known, checked, table = _recall(memory, state), None, None
    if known is None:
        with report.step("source", f"read {path.name}") as step:
            known, checked, table = _read_and_check(absolute, step)
        if work.scratch.is_dir():
            write_whole(memory, msgspec.json.encode(_Remembered(state, known)), work.scratch)
    image = Image(absolute, found.name, found.virtual_size_bytes, known, state, checked, table)
    image.check_unchanged()
    return image


def _read_and_check(
    path: Path, step: Step
) -> tuple[str, safety.CheckReport, PartitionTable | None]:
    """The digest, and what the check found, at the same time on two cores."""
    stop = threading.Event()

    def progress(done_bytes: int, total_bytes: int) -> None:
        if stop.is_set():
            raise BakeryError(f"reading {path.name} was given up")
        step.progress(done_bytes, total_bytes)

    with Pool(1) as pool:
        reading = pool.submit(digest.fingerprint, path, progress)
        try:
            checked, table = safety.check_with_table(path)
            refuse_unsafe(path, checked)
            return reading.result().digest, checked, table
        except BaseException:
            stop.set()
            raise


def refuse_unsafe(path: Path, checked: safety.CheckReport) -> None:
    """Raise BakeryError with the first finding where the check refuses the image."""
    if checked.is_safe:
        return
    first, *others = checked.refusals
    more = f" (and {len(others)} more)" if others else ""
    raise BakeryError(f"{path.name} is refused: {first.message}{more}", f"bakery check {path}")


def _recall(memory: Path, state: State) -> str | None:
    try:
        known = msgspec.json.decode(memory.read_bytes(), type=_Remembered)
    except (OSError, msgspec.DecodeError):
        return None
    return known.digest if known.state == state else None
