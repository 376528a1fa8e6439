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

    def check(self, path: Path) -> None:
        """Raise BakeryError where the file is no longer the one that was looked at."""
        if State.of(path) != self:
            raise BakeryError(
                f"{path} was changed while it was read",
                "stop what writes to it (a running guest?) and give the command again",
            )


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
        self.state.check(self.path)


class _Remembered(msgspec.Struct, frozen=True):
    state: State
    digest: str
    sha256: str = ""
    """Of the whole file, once it was asked for."""


def open_image(
    path: Path, report: Report, work: WorkDir, sha256: str = "", memory: str = MEMORY
) -> Image:
    """Look at an image file; the work directory remembers its digest from run to run, in `memory`.

    BakeryError where `sha256` is given and is not that of the whole file.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the last link
    found = safety.identify(absolute)
    state = State.of(absolute)
    remembered = work.path / memory
    known, checked, table = _recall(remembered, state), None, None
    read = known or _Remembered(state, "")
    if known is None:
        with report.step("source", f"read {path.name}") as step:
            made, checked, table = _read_and_check(absolute, step)
            read = _Remembered(state, made)
    if sha256 and not read.sha256:
        with report.step("source", f"sha256 of {path.name}") as step:
            read = msgspec.structs.replace(read, sha256=_whole(absolute, read.digest, step))
    if read != known and work.scratch.is_dir():
        write_whole(remembered, msgspec.json.encode(read), work.scratch)
    size = found.virtual_size_bytes
    image = Image(absolute, found.name, size, read.digest, state, checked, table)
    image.check_unchanged()
    if sha256 and read.sha256 != sha256:
        raise BakeryError(
            f"{path} is not the image that is asked for: its sha256 is {read.sha256}, not {sha256}",
            "fetch the image again; or, where it was meant to change, write down its new sha256",
        )
    return image


def _whole(path: Path, known: str, step: Step) -> str:
    """The sha256 of the whole file; of one without holes it is its digest."""
    if known.startswith(digest.PLAIN):
        return known.removeprefix(digest.PLAIN)
    return digest.sha256(path, step.progress)


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


def _recall(memory: Path, state: State) -> _Remembered | None:
    try:
        known = msgspec.json.decode(memory.read_bytes(), type=_Remembered)
    except (OSError, msgspec.DecodeError):
        return None
    return known if known.state == state else None
