"""A published build brought back: the same files, the same manifest, byte for byte.

Everything gathers in `DIR/.bakery/download` and is verified there by the manifest's digests; only
then do the files move to their names, the manifest last. What a killed run has gathered is used
by the next one: whole files as they are, a part of one as the start of the rest.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bakery.disk import blockdevs, digest
from bakery.disk.copy import copy
from bakery.disk.extents import Extent, total
from bakery.disk.formats import safety
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.folders import sync, write_whole
from bakery.host.report import Report, Step
from bakery.host.workdir import WorkDir
from bakery.manifest import manifest
from bakery.manifest.folder import claim, withdraw
from bakery.manifest.manifest import Build
from bakery.openstack.glance import fetch, find, handover
from bakery.openstack.glance.fetch import Differs
from bakery.openstack.glance.find import Part, Published
from bakery.openstack.glance.handover import Held, Store
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.rate import Rate

DOWNLOADS = "download"
PARTIAL = ".part"
FETCHED = "fetched"
# Kept free beside what the files hold: for the manifest, folders and the filesystem's own tables.
SPARE_BYTES = 16 << 20


class Pulled(msgspec.Struct, frozen=True):
    """A build that was brought back.

    `ways` tells for every file that had to be brought how that was done: `fetched`, or as
    handover.How. It is empty where the folder held the build already.
    """

    build: Build
    base_id: str
    ways: dict[str, str]
    fetched_bytes: int


def pull(
    images: Images,
    name_or_id: str,
    output: Path,
    report: Report,
    *,
    stores: Sequence[Store] = (),
    link: bool = False,
) -> Pulled:
    """Bring the build published as `name_or_id` into the folder `output`, verified.

    `stores` are Glance stores that are mounted here; `link` allows a hard link to a file in one.
    On a failure `output` holds what it held before, and in `.bakery` what a next run can use.
    Raises BakeryError.
    """
    claim(output)
    with report.step("find", name_or_id) as step:
        published = find.published(images, name_or_id)
        step.summary(f"image {published.base.id}")
    work = WorkDir(output)
    with _explained(output), work.locked(), _tidied(work):
        pulling = _Pull(images, published, work, stores, link=link)
        with report.step("verify", "check what is already here"):
            missing = pulling.missing()
        if missing or not pulling.is_finished():
            pulling.refuse_full_disk(missing)
            for part in missing:
                with report.step(part.name, part.file) as step:
                    pulling.bring(part, step)
            pulling.install()
        pulling.clear()
    build = Build(output, published.manifest)
    return Pulled(build, published.base.id, pulling.ways, pulling.fetched_bytes)


@dataclass
class _Pull:
    """One download; `ways` and `fetched_bytes` as in Pulled."""

    images: Images
    published: Published
    work: WorkDir
    stores: Sequence[Store]
    link: bool
    ways: dict[str, str] = field(default_factory=dict)
    fetched_bytes: int = 0

    def __post_init__(self) -> None:
        self.folder = self.work.path / DOWNLOADS
        folders.make(self.folder, mode=0o700)

    def missing(self) -> list[Part]:
        """The files that neither the folder nor an earlier run holds whole.

        What the earlier run holds in vain is removed: all that stays there is to be put in place.
        """
        lacking = []
        for part in self.published.parts:
            gathered = self.folder / part.file
            in_place = _holds(self.work.output / part.file, part)
            if in_place or not _holds(gathered, part):
                gathered.unlink(missing_ok=True)
                lacking += [] if in_place else [part]
        return lacking

    def is_finished(self) -> bool:
        """Whether the folder holds this build's manifest, and nothing is to be put beside it."""
        path = manifest.find(self.work.output)
        waiting = any((self.folder / part.file).exists() for part in self.published.parts)
        return not waiting and path is not None and path.read_bytes() == self.published.text

    def refuse_full_disk(self, missing: Sequence[Part]) -> None:
        """Refuse before a byte is fetched where the disk cannot take what is missing."""
        needed = sum(
            _room(part) for part in missing if not handover.is_shown(part.image, self.stores)
        )
        kept = sum(path.stat().st_blocks * 512 for path in self.folder.glob("*" + PARTIAL))
        free = shutil.disk_usage(self.folder).free
        if needed + SPARE_BYTES > free + kept:
            raise BakeryError(
                f"the disk that holds {self.work.output} is too full: {free} bytes are free, "
                f"and the build needs {needed}",
                "free some space, or choose another folder with -o",
            )

    def bring(self, part: Part, step: Step) -> None:
        """Bring one file into the download folder, verified."""
        partial = self.folder / (part.image.id + PARTIAL)
        try:
            made, way = self._made(part, partial, step)
            if not _holds(made, part):
                raise _differs(part, "its digest is not the manifest's")
        except Differs:
            partial.unlink(missing_ok=True)
            raise
        sync(made)
        made.rename(self.folder / part.file)
        partial.unlink(missing_ok=True)
        self.ways[part.name] = way
        step.summary(f"{part.file}, {part.artifact.size_bytes} bytes, {way}")

    def install(self) -> None:
        """Put the build in place. Until the manifest stands, the folder holds no finished build."""
        output, told = self.work.output, self.published.manifest
        withdraw(output, keep={part.file for part in self.published.parts})
        for part in self.published.parts:
            if (self.folder / part.file).exists():
                (self.folder / part.file).replace(output / part.file)
        sync(output)
        path = output / (told.name + manifest.SUFFIX)
        write_whole(path, self.published.text, self.work.scratch)

    def clear(self) -> None:
        """Forget what was gathered: it is in place, or it belonged to another build."""
        folders.remove(self.folder)

    def _made(self, part: Part, partial: Path, step: Step) -> tuple[Path, str]:
        """The file, not verified yet, and how it came. What is fetched stays in `partial`."""
        draft = self.work.scratch / part.file
        way = self._hand_over(part, draft, step)
        if way is not None:
            return draft, way
        before = partial.stat().st_size if partial.exists() else 0
        if before:
            step.note(f"{before} bytes are here from an earlier run")
        rate = Rate(part.image.size_bytes or 0)

        def progress(done_bytes: int, total_bytes: int) -> None:
            step.progress(done_bytes, total_bytes, rate.at(done_bytes))

        self.fetched_bytes += fetch.fetch(self.images, part.image, partial, progress)
        if part.is_raw:
            return partial, FETCHED
        _convert(partial, part, draft, step)
        return draft, FETCHED

    def _hand_over(self, part: Part, draft: Path, step: Step) -> str | None:
        """Take the file out of a store that is mounted here; None where that cannot be done."""
        if not handover.is_shown(part.image, self.stores):
            return None
        try:
            with handover.held(part.image, self.stores) as held:
                return self._taken(held, part, draft, step)
        except handover.NotHere as reason:
            step.note(f"the store's file is not used: {reason.message}")
            return None

    def _taken(self, held: Held, part: Part, draft: Path, step: Step) -> str:
        if part.is_raw:
            return handover.take(held, draft, link=self.link, progress=step.progress)
        _convert(held.path, part, draft, step)
        return "copy"


def _convert(image: Path, part: Part, destination: Path, step: Step) -> None:
    """The raw bytes of a qcow2 image, confined; an image that is no plain qcow2 is refused."""
    checked = safety.check(image, claimed=find.QCOW2, with_partitions=False)
    if not checked.is_safe:
        raise _differs(part, checked.refusals[0].message)
    size = safety.identify(image).virtual_size_bytes
    if size != part.artifact.size_bytes:
        raise _differs(part, f"a disk of {size} bytes, not {part.artifact.size_bytes}")
    source = blockdevs.image(image, find.QCOW2)
    copy.copy_ranges(source, [image], [Extent(0, size)], destination, step.progress)


def _differs(part: Part, why: str) -> Differs:
    return Differs(
        f"the {part.name} in Glance (image {part.image.id}) is not the one that was "
        f"published: {why}",
        "it was changed or damaged on the server: upload the build from its folder again",
    )


def _holds(path: Path, part: Part) -> bool:
    """Whether a file is there and is, by its digest, this one."""
    if path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == part.artifact.size_bytes and digest.matches(
        path, part.artifact.digest
    )


def _room(part: Part) -> int:
    """The bytes of the disk that bringing a file takes, by what the manifest says of its data."""
    data = min(total(part.artifact.extents), part.artifact.size_bytes)
    return data if part.is_raw else data + (part.image.size_bytes or 0)


@contextlib.contextmanager
def _tidied(work: WorkDir) -> Iterator[None]:
    """Leave behind only what a next run can use."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (work.path / DOWNLOADS).rmdir()
        if {path.name for path in work.path.iterdir()} <= {"lock", work.scratch.name}:
            work.remove()


@contextlib.contextmanager
def _explained(output: Path) -> Iterator[None]:
    """A failure of the disk in words that name the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BakeryError(
                f"the disk that holds {output} is full",
                "free some space and run the same command again: it continues where it stopped",
            ) from error
        raise BakeryError(f"{error.filename or output}: {error.strerror}") from error
