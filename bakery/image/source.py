"""An image file: what it is, that it is safe to open, and a digest; remembered from run to run."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from bakery.disk import blockdevs, digest
from bakery.disk.formats import safety
from bakery.disk.volumes.volumes import PartitionTable
from bakery.host.errors import BakeryError
from bakery.host.folders import write_whole
from bakery.host.pool import Pool
from bakery.host.report import Report, Step
from bakery.host.workdir import WorkDir

MEMORY = "source.json"
CHECK_VERSION = 2
"""Rises whenever the check would find something else in the same image."""

Check = Callable[[Path], tuple[safety.CheckReport, PartitionTable | None]]


class Meanwhile(Protocol):
    """What is begun with an image that is safe to open, while its file is still being hashed."""

    hashes: bool
    """Whether it reads all of a raw file by itself, and so can tell its digest."""

    def begin(self, image: "Image") -> None:
        """Begin; the image has no digest yet."""

    def digest(self, step: Step) -> str:
        """The digest of the file, once all of it was read; empty where that was not done."""


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
                f"{path} was changed while it was being read",
                "stop what writes to it (a running guest?) and run the command again",
            )


class Image(msgspec.Struct, frozen=True):
    """An image that was found safe to open: its format by content, its size as a disk."""

    path: Path
    format: str
    virtual_size_bytes: int
    state: State
    checked: safety.CheckReport
    table: PartitionTable | None
    """The partition table that the check saw."""
    digest: str = ""
    """Of the file's data; empty where nobody asked for it."""
    remembered: bool = False
    """Whether all of this was known from an earlier run."""

    @property
    def blockdev(self) -> blockdevs.BlockDevice:
        """The image as a QEMU block device that follows nothing the image names."""
        return blockdevs.image(self.path, self.format)

    def check_unchanged(self) -> None:
        """Raise BakeryError where the file is no longer the one that was looked at."""
        self.state.check(self.path)

    def moved(self, path: Path) -> "Image":
        """The same file under another name, which bakery gave it; BakeryError if it is another."""
        state = State.of(path)
        if msgspec.structs.replace(state, ctime_ns=self.state.ctime_ns) != self.state:
            self.state.check(path)
        return msgspec.structs.replace(self, path=path, state=state)


class _Remembered(msgspec.Struct, frozen=True):
    state: State
    digest: str
    checked: safety.CheckReport
    table: PartitionTable | None
    check_version: int
    sha256: str = ""
    """Of the whole file, once it was asked for."""

    @classmethod
    def of(cls, image: Image, sha256: str = "") -> "_Remembered":
        digest, checked, table = image.digest, image.checked, image.table
        return cls(image.state, digest, checked, table, CHECK_VERSION, sha256)


def look_at(path: Path, check: Check = safety.check_with_table) -> Image:
    """Look at an image file, without a digest of it; BakeryError where it is not safe to open."""
    found = safety.identify(path)
    state = State.of(path)
    checked, table = check(path)
    refuse_unsafe(path, checked)
    return Image(path, found.name, found.virtual_size_bytes, state, checked, table)


def read_image(
    path: Path,
    report: Report,
    check: Check = safety.check_with_table,
    meanwhile: Meanwhile | None = None,
) -> Image:
    """Look at an image file and take its digest; BakeryError where it is not safe to open."""
    found = safety.identify(path)
    state = State.of(path)
    with report.step("source", f"read {path.name}") as step, Pool(1) as pool:
        stop = threading.Event()
        reads = not (meanwhile and meanwhile.hashes and found.name == "raw")
        reading = pool.submit(_hash, path, step, stop) if reads else None
        try:
            checked, table = check(path)
            refuse_unsafe(path, checked)
            image = Image(path, found.name, found.virtual_size_bytes, state, checked, table)
            if meanwhile:
                meanwhile.begin(image)
            made = "" if reading or not meanwhile else meanwhile.digest(step)
            reading = reading or (None if made else pool.submit(_hash, path, step, stop))
            return msgspec.structs.replace(image, digest=reading.result() if reading else made)
        except BaseException:
            stop.set()
            raise


def open_image(
    path: Path,
    report: Report,
    work: WorkDir,
    sha256: str = "",
    memory: str = MEMORY,
    check: Check = safety.check_with_table,
    meanwhile: Meanwhile | None = None,
) -> Image:
    """Look at an image file; what was found is remembered from run to run, in a file `memory`.

    `meanwhile` is begun where the file has to be read. BakeryError where it is not safe to open, or
    `sha256` is given and not that of the whole file.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the last link
    known = _recall(work.path / memory, State.of(absolute))
    image = _known(absolute, known) if known else read_image(absolute, report, check, meanwhile)
    read = _Remembered.of(image, known.sha256 if known else "")
    if sha256 and not read.sha256:
        with report.step("source", f"sha256 of {path.name}") as step:
            read = msgspec.structs.replace(read, sha256=_whole(absolute, read.digest, step))
    if read != known:
        _remember(read, work, memory)
    image.check_unchanged()
    if sha256 and read.sha256 != sha256:
        raise BakeryError(
            f"{path} is not the requested image: its sha256 is {read.sha256}, not {sha256}",
            "download the image again; if it was meant to change, update its sha256",
        )
    return image


def remember(image: Image, work: WorkDir, memory: str) -> None:
    """Let the next run know what was found out about an image, its digest included."""
    _remember(_Remembered.of(image), work, memory)


def tell_check(image: Image, report: Report) -> None:
    """Tell what the check found, where it was made by this run."""
    if image.remembered:
        return
    with report.step("check", "is the image safe to open") as step:
        for finding in image.checked.findings:
            step.note(finding.message)
        step.summary(f"{image.format}, {image.virtual_size_bytes} bytes as a disk")


def _known(path: Path, known: _Remembered) -> Image:
    """The image as an earlier run found it."""
    checked = known.checked
    size = checked.virtual_size_bytes
    digest, table = known.digest, known.table
    return Image(path, checked.format, size, known.state, checked, table, digest, remembered=True)


def _remember(found: _Remembered, work: WorkDir, memory: str) -> None:
    if work.scratch.is_dir():
        write_whole(work.path / memory, msgspec.json.encode(found), work.scratch)


def _whole(path: Path, known: str, step: Step) -> str:
    """The sha256 of the whole file; of one without holes it is its digest."""
    if known.startswith(digest.PLAIN):
        return known.removeprefix(digest.PLAIN)
    return digest.sha256(path, step.progress)


def _hash(path: Path, step: Step, stop: threading.Event) -> str:
    """The digest of the file's data, unless it is told to stop."""

    def progress(done_bytes: int, total_bytes: int) -> None:
        if stop.is_set():
            raise BakeryError(f"reading {path.name} was cancelled")
        step.progress(done_bytes, total_bytes)

    return digest.fingerprint(path, progress).digest


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
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    return known if known.state == state and known.check_version == CHECK_VERSION else None
