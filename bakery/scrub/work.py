"""`bakery scrub` and `bakery restore`: an image in, an image out, and the archive between."""

import contextlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from bakery.disk import safety
from bakery.engines import guestfs_scrub
from bakery.engines.base import CannotServe, Engine, Removal, Taking
from bakery.engines.choose import open_engine, pick
from bakery.engines.direct import DirectEngine
from bakery.engines.guestfs import GuestfsEngine
from bakery.errors import BakeryError
from bakery.recovery.open import opened
from bakery.recovery.seal import sealing
from bakery.report import Report
from bakery.scrub.find import Findings, find
from bakery.scrub.output import Draft
from bakery.scrub.rules import Rule
from bakery.source import State, refuse_unsafe

# A first-level table of 32 MiB (QCOW_MAX_L1_SIZE) holds no more in clusters of 4 KiB.
SIZE_LIMIT_BYTES = 8 << 40


class Source(msgspec.Struct, frozen=True):
    """An image that is safe to open. Its path is absolute and free of links."""

    path: Path
    format: str
    state: State


class Recovery(msgspec.Struct, frozen=True):
    """Where what is taken goes, sealed, and for whom."""

    archive: Path
    public_key: Path


class Restored(msgspec.Struct, frozen=True):
    """What was put back."""

    files: int
    size_bytes: int


def source(image: Path) -> Source:
    """Look at an image; BakeryError where it is not safe to open."""
    path = image.resolve()
    found = safety.identify(path)
    refuse_unsafe(image, safety.check(path))
    if found.virtual_size_bytes > SIZE_LIMIT_BYTES:
        raise BakeryError(
            f"{image} is a disk of {found.virtual_size_bytes} bytes, which is too big"
        )
    return Source(path, found.name, State.of(path))


def look(image: Source, rules: Sequence[Rule], work: Path, report: Report) -> Findings:
    """What the rules find; `work` is an existing private folder."""
    name, reason = pick("auto")
    if name == "guestfs":
        report.note(f"an appliance is needed to look, which takes a while ({reason})")
    with open_engine(name, image.path, image.format, work, report) as engine:
        return find(engine, rules)


def scrub(
    image: Source,
    out: Path,
    rules: Sequence[Rule],
    recovery: Recovery | None,
    report: Report,
    show: Callable[[Findings], None],
) -> Findings:
    """Write `out`: the image without what the rules find, and with nothing deleted in it.

    `out` may be the image's own path; it appears by rename, after the recovery archive did.
    `show` is told what is found before anything is taken.
    """
    draft = Draft(out)
    with draft.locked():
        with report.step("find") as step:
            findings = look(image, rules, draft.session, report)
            step.summary(f"{len(findings.files)} files and folders")
        show(findings)
        with _sealed(recovery, findings, draft) as keep:
            left = _removed(image, findings, draft, keep, report)
            with report.step("write", str(out)):
                draft.write(image.path, image.format, draft.session / "overlay.qcow2")
            _check_gone(draft, image.format, rules, left, report)
            image.state.check(image.path)
        draft.publish(image.path)
    return findings


def restore(image: Source, out: Path, archive: Path, private_key: Path, report: Report) -> Restored:
    """Write `out`: the image with everything of the archive back in its place."""
    with report.step("verify", str(archive)) as step:
        names, restored = _contents(archive, private_key)
        step.summary(f"{restored.files} files")
    unpack(image, out, opened(archive, private_key), names, report)
    return restored


def unpack(
    image: Source,
    out: Path,
    tar: contextlib.AbstractContextManager[BinaryIO],
    names: set[str],
    report: Report,
) -> None:
    """Write `out`: the image with the members of a tar in the filesystems `names`.

    Members are named as guestfs_scrub.py has them.
    """
    draft = Draft(out)
    with draft.locked():
        with _session(image, draft.session, report) as engine:
            with tar as stream, report.step("unpack"):
                guestfs_scrub.restore(engine, stream, names)
            engine.close()
        with report.step("write", str(out)):
            draft.write(image.path, image.format, engine.overlay)
        image.state.check(image.path)
        draft.publish(image.path)


@contextlib.contextmanager
def _sealed(
    recovery: Recovery | None, findings: Findings, draft: Draft
) -> Iterator[BinaryIO | None]:
    """The archive as a stream; none where none is asked for, or nothing would be in it.

    An image that was scrubbed before has nothing to keep: the archive of that time must stay.
    """
    if recovery is None or not findings.kept:
        yield None
        return
    draft.intends(recovery.archive)
    with sealing(recovery.archive, recovery.public_key) as stream:
        yield stream


def _removed(
    image: Source, findings: Findings, draft: Draft, keep: BinaryIO | None, report: Report
) -> set[str]:
    """Take everything out of an overlay in the draft's folder; the paths that were left."""
    if keep is None and pick("auto")[0] == "direct":
        try:
            return _removed_directly(image, findings, draft, report)
        except CannotServe as reason:
            report.note(f"an appliance is needed, which takes a while: {reason.message}")
    with _session(image, draft.session, report) as engine:
        order = removal(engine, findings)
        with report.step("remove"):
            left = guestfs_scrub.scrub(engine, order, keep)
        engine.close()
    return left


def _removed_directly(image: Source, findings: Findings, draft: Draft, report: Report) -> set[str]:
    """The same without an appliance; CannotServe where that takes a kernel.

    What is kept is streamed by a kernel that knows every attribute, so with an archive none.
    """
    with DirectEngine(image.path, image.format, draft.session, report) as engine:
        order = removal(engine, findings)
        with report.step("remove", "without an appliance"):
            return engine.scrub(order)


def removal(engine: Engine, findings: Findings) -> Removal:
    """What was found, as an order to an engine session on the same image."""
    volumes = {volume.device: volume for volume in engine.survey().volumes}
    takings = tuple(Taking(volumes[f.device], f.path, f.action) for f in findings.files)
    return Removal(takings, findings.filesystems, findings.swaps, findings.gaps)


def _session(image: Source, work: Path, report: Report) -> GuestfsEngine:
    grain = guestfs_scrub.CLUSTER_BYTES
    return GuestfsEngine(image.path, image.format, work, report, cluster_bytes=grain)


def _check_gone(
    draft: Draft, image_format: str, rules: Sequence[Rule], left: set[str], report: Report
) -> None:
    """Look at the new image as at the old: nothing but what was left may be found."""
    made = Source(draft.image, image_format, State.of(draft.image))
    work = draft.folder / "check"
    work.mkdir()
    found = [item for item in look(made, rules, work, report).kept if item.path not in left]
    if found:
        raise BakeryError(f"{found[0].device}:{found[0].path} is still there after it was taken")


def _contents(archive: Path, private_key: Path) -> tuple[set[str], Restored]:
    """The volumes an archive is for, and what is in it."""
    names: set[str] = set()
    files = size = 0
    with opened(archive, private_key) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            names.add(member.name.partition("/")[0])
            files += not member.isdir()
            size += member.size
            tar.members.clear()  # type: ignore[attr-defined] # it would keep them all in memory
    return names, Restored(files, size)
