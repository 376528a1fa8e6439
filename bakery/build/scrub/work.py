"""`bakery scrub` and `bakery restore`: an image in, an image out, and the archive between."""

import contextlib
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from bakery.build.scrub.find import Findings, find
from bakery.build.scrub.output import Draft
from bakery.build.scrub.rules import Rule
from bakery.build.scrub.unsearched import refuse
from bakery.build.spec import Recovery
from bakery.disk.volumes.volumes import Survey, Volume
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.image.engines.base import CannotServe, Engine, Removal, Taking, tar_name
from bakery.image.engines.choose import IN_ORDER, EngineName, can, pick
from bakery.image.opened import Opened
from bakery.image.source import Image, look_at
from bakery.recovery.open import opened as open_archive
from bakery.recovery.seal import sealing

# A first-level table of 32 MiB (QCOW_MAX_L1_SIZE) holds no more in clusters of 4 KiB.
SIZE_LIMIT_BYTES = 8 << 40


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, where what is taken is kept, and what may stay though unsearched."""

    rules: tuple[Rule, ...]
    recovery: Recovery | None = None
    leave_unsearched: tuple[str, ...] = ()


class Restored(msgspec.Struct, frozen=True):
    """What was put back."""

    files: int
    size_bytes: int


def look_at_file(image: Path, rules: Sequence[Rule], report: Report) -> Findings:
    """What the rules find in an image; nothing is written."""
    with tempfile.TemporaryDirectory(prefix="bakery-") as folder:
        found, engine = look_at(image.resolve()), _looking(report)
        with Opened(found, engine, Path(folder), report) as opened:
            return look(opened, rules)


def scrub_file(
    image: Path,
    out: Path,
    request: Request,
    report: Report,
    show: Callable[[Findings], None],
) -> Findings:
    """Write `out` as `scrub` does, of an image that nobody has opened yet."""
    with tempfile.TemporaryDirectory(prefix="bakery-") as folder, contextlib.ExitStack() as stack:
        found, engine, draft = look_at(image.resolve()), _looking(report), Draft(out)

        def open_new(path: Path) -> Opened:
            return stack.enter_context(Opened(look_at(path), engine, Path(folder), report))

        opened = Opened(found, engine, draft.session, report)
        return scrub(opened, draft, request, report, show, open_new)[0]


def look(opened: Opened, rules: Sequence[Rule]) -> Findings:
    """What the rules find."""
    return find(opened.reader, opened.inspection, rules)


def scrub(
    opened: Opened,
    draft: Draft,
    request: Request,
    report: Report,
    show: Callable[[Findings], None],
    open_new: Callable[[Path], Opened],
) -> tuple[Findings, Opened]:
    """Write `draft.out`: the image without what the rules find, and with nothing deleted in it.

    It may be the image's own path; it appears by rename, after the recovery archive did. `show` is
    told what is found before anything is taken; BakeryError where something could not be searched
    and nobody said that it may stay. The new image is looked at once more, by `open_new`, and
    handed back; the sessions on the old one end.
    """
    image = opened.image
    _refuse_huge(image)
    with draft.locked(), opened:
        with report.step("find") as step:
            findings = look(opened, request.rules)
            step.summary(f"{len(findings.files)} files and folders")
        show(findings)
        refuse(findings.unsearched, request.leave_unsearched)
        with _sealed(request.recovery, findings, draft) as keep:
            overlay, left = _removed(opened, findings, keep, report)
            with report.step("write", str(draft.out)):
                draft.write(image.path, image.format, overlay)
            made = open_new(draft.image)
            _check_gone(made, request.rules, left)
            image.check_unchanged()
        draft.install(image.path)
        made.moved(draft.out)
    return findings, made


def restore(image: Path, out: Path, archive: Path, private_key: Path, report: Report) -> Restored:
    """Write `out`: the image with everything of the archive back in its place."""
    found, draft = look_at(image.resolve()), Draft(out)
    with report.step("verify", str(archive)) as step:
        names, restored = _contents(archive, private_key)
        step.summary(f"{restored.files} files")
    engine = pick("auto", "restore").name
    with Opened(found, engine, draft.session, report) as opened:
        unpack(opened, draft, open_archive(archive, private_key), names, report)
    return restored


def unpack(
    opened: Opened,
    draft: Draft,
    tar: contextlib.AbstractContextManager[BinaryIO],
    names: set[str],
    report: Report,
) -> None:
    """Write `draft.out`: the image with the members of a tar in the filesystems `names`.

    Members are named as `Engine.restore` has them. The sessions on the image end.
    """
    image = opened.image
    _refuse_huge(image)
    with draft.locked(), opened:
        volumes = _named(opened.survey, names)
        name = pick("auto", "restore", first=opened.engine).name
        engine = _alone(opened, name)
        with tar as stream, report.step("unpack"):
            engine.restore(stream, volumes)
        opened.end(name)
        with report.step("write", str(draft.out)):
            draft.write(image.path, image.format, engine.overlay)
        image.check_unchanged()
        draft.install(image.path)


def removal(survey: Survey, findings: Findings) -> Removal:
    """What was found, as it is told to an engine session on the same image."""
    takings: list[Taking] = []
    for found in findings.files:
        volume = survey.volume(found.device)
        assert volume is not None
        takings.append(Taking(volume, found.path, found.action))
    return Removal(tuple(takings), findings.filesystems, findings.swaps, findings.gaps)


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
    opened: Opened, findings: Findings, keep: BinaryIO | None, report: Report
) -> tuple[Path, set[str]]:
    """Take everything out of an overlay: the overlay, and the paths that were left."""
    taken = removal(opened.survey, findings)
    obstacles: dict[EngineName, str] = {}
    while True:
        name = pick("auto", "keep" if keep else "scrub", obstacles, opened.engine).name
        engine = _alone(opened, name)
        try:
            with report.step("remove", "without an appliance" if can(name, "quick") else ""):
                left = engine.scrub(taken, keep)
        except CannotServe as reason:
            obstacles[name] = reason.message
            report.note(f"an appliance is needed, which takes a while: {reason.message}")
            continue
        opened.end(name)
        return engine.overlay, left


def _looking(report: Report) -> EngineName:
    """The engine that looks."""
    picked = pick("auto")
    if not can(picked.name, "quick"):
        report.note(f"an appliance is needed to look, which takes a while ({picked.reason})")
    return picked.name


def _alone(opened: Opened, name: EngineName) -> Engine:
    """The session of that engine; those of the others, which are of no more use, end."""
    for other in IN_ORDER:
        if other != name:
            opened.end(other)
    return opened.session(name)


def _named(survey: Survey, names: set[str]) -> list[Volume]:
    """The volumes of those names in a tar; BakeryError where one is not there."""
    volumes = [volume for volume in survey.volumes if tar_name(volume) in names]
    missing = names - {tar_name(volume) for volume in volumes}
    if missing:
        raise BakeryError(
            f"the image has no filesystem with the UUID {', '.join(sorted(missing))}",
            "restore into the image that was scrubbed, or a child of it",
        )
    return volumes


def _refuse_huge(image: Image) -> None:
    if image.virtual_size_bytes > SIZE_LIMIT_BYTES:
        raise BakeryError(
            f"{image.path.name} is a disk of {image.virtual_size_bytes} bytes, which is too big"
        )


def _check_gone(made: Opened, rules: Sequence[Rule], left: set[str]) -> None:
    """Look at the new image as at the old: nothing but what was left may be found."""
    found = [item for item in look(made, rules).kept if item.path not in left]
    if found:
        raise BakeryError(f"{found[0].device}:{found[0].path} is still there after it was taken")


def _contents(archive: Path, private_key: Path) -> tuple[set[str], Restored]:
    """The volumes an archive is for, and what is in it."""
    names: set[str] = set()
    files = size = 0
    with (
        open_archive(archive, private_key) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        for member in tar:
            names.add(member.name.partition("/")[0])
            files += not member.isdir()
            size += member.size
            tar.members.clear()  # type: ignore[attr-defined] # it would keep them all in memory
    return names, Restored(files, size)
