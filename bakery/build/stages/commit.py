"""The end of a build: the results linked under their names, and the manifest written last."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bakery import __version__
from bakery.build.stages.edit import Edits
from bakery.build.stages.job import Job
from bakery.disk import digest
from bakery.disk.extents import Extent, translated
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.folders import sync, write_whole
from bakery.host.run import run
from bakery.host.workdir import Stamp
from bakery.manifest import manifest
from bakery.manifest.folder import withdraw
from bakery.manifest.manifest import (
    PACKED,
    SBOM_FILES,
    Artifact,
    ArtifactName,
    Deployment,
    Edit,
    Manifest,
)

# artifact → (stage, file of its result)
ARTIFACTS: dict[ArtifactName, tuple[str, str]] = {
    "kernel": ("boot", "kernel"),
    "ramdisk": ("boot", "ramdisk"),
    "base": ("base", "base"),
}


class Prepared(NamedTuple):
    """What the manifest tells and the base has no part in."""

    artifacts: Mapping[ArtifactName, Artifact]
    tools: dict[str, str]


def results(job: Job) -> dict[ArtifactName, Path]:
    """The files a build consists of, where the stages that have ended left them."""
    files = {
        name: job.results[stage] / file
        for name, (stage, file) in ARTIFACTS.items()
        if stage in job.results
    }
    return {name: path for name, path in files.items() if path.exists()}


def _files(job: Job) -> dict[str, Path]:
    """All files that a build leaves, by what follows its name."""
    files = {f"-{name}": path for name, path in results(job).items()}
    if packed := job.results.get("pack"):
        files |= {f"-{name}": packed / name for name in PACKED}
    if sbom := job.results.get("sbom"):
        names = [SBOM_FILES[form] for form in job.options.sbom]
        files |= {f".{name}": sbom / name for name in names}
    return files


def committed(job: Job, key: str) -> Manifest | None:
    """The manifest of a finished build with this key, if its files are those the stages made."""
    path = manifest.find(job.work.output)
    if path is None:
        return None
    try:
        found = manifest.read(path)
    except BakeryError:
        return None
    if found.key != key:
        return None
    for ending, made in _files(job).items():
        file = job.work.output / (found.name + ending)
        if not file.is_file() or Stamp.of(file) != Stamp.of(made):
            return None
    return found


def prepare(job: Job) -> Prepared:
    """What can be found out while the base is still copied; it takes time, and changes nothing."""
    files = {name: path for name, path in results(job).items() if name != "base"}
    return Prepared({name: _artifact(path) for name, path in files.items()}, _tool_versions(job))


def commit(job: Job, key: str, prepared: Prepared) -> Manifest:
    """Put the build in place. Until the manifest stands, the folder holds no finished build."""
    new = _manifest(job, key, prepared)
    output = job.work.output
    withdraw(output)
    for ending, made in _files(job).items():
        _link(made, output / (new.name + ending), job.work.scratch)
    sync(output)
    path = output / (new.name + manifest.SUFFIX)
    write_whole(path, manifest.encode(new), job.work.scratch)
    return new


def _link(made: Path, destination: Path, scratch: Path) -> None:
    """The same file under a second name, put there by rename."""
    draft = scratch / destination.name
    os.link(made, draft)
    draft.rename(destination)


def _manifest(job: Job, key: str, prepared: Prepared) -> Manifest:
    spec, edits = job.spec, job.read("edit", "edits.json", Edits)
    return Manifest(
        bakery_version=__version__,
        name=spec.name,
        layout=spec.layout,
        engine=spec.edit_engine,
        source=manifest.Source(
            job.source.path.name,
            job.source.format,
            job.source.virtual_size_bytes,
            job.source.digest,
            scrubbed=job.options.scrub is not None,
            left_unsearched=job.options.scrub.leave_unsearched if job.options.scrub else (),
            files_added=tuple(file.path for file in job.options.files),
            became=job.image.digest if job.image is not job.source else "",
        ),
        partition=_partition(job),
        lvm=_lvm(job),
        root_filesystem=_root_filesystem(job),
        deployment=_deployment(job),
        kernel_args=spec.kernel_args,
        firmware=job.inspection.firmware if spec.layout == "disk" else (),
        sector_bytes=job.inspection.survey.sector_bytes if spec.layout == "disk" else 512,
        architecture=job.inspection.architecture,
        distro=job.inspection.os_id,
        artifacts={**prepared.artifacts, "base": job.read("base", "base.json", Artifact)},
        sbom={form: _artifact(job.results["sbom"] / SBOM_FILES[form]) for form in job.options.sbom},
        edits=_edits_of_base(edits, spec.place),
        files_changed=edits.files,
        left_behind=spec.left_behind,
        mounted=edits.mounted,
        tools=prepared.tools,
        key=key,
    )


def _artifact(path: Path) -> Artifact:
    made = digest.fingerprint(path)
    plain = made.digest.startswith(digest.PLAIN)
    whole = made.digest.removeprefix(digest.PLAIN) if plain else digest.sha256(path)
    return Artifact(made.size_bytes, made.digest, whole, made.extents)


def _partition(job: Job) -> manifest.PartitionRecord | None:
    found = job.spec.partition
    if found is None:
        return None
    return manifest.PartitionRecord(found.number, found.start_bytes, found.size_bytes, found.type)


def _lvm(job: Job) -> manifest.LvmRecord | None:
    root = job.spec.root
    lv = job.inspection.survey.logical_volume(root.device) if root else None
    if lv is None:
        return None
    segments = tuple(Extent(s.disk_offset, s.length) for s in lv.segments)
    return manifest.LvmRecord(lv.vg, lv.name, segments)


def _root_filesystem(job: Job) -> manifest.RootFilesystem | None:
    root = job.spec.root
    return manifest.RootFilesystem(root.type, root.uuid, root.label) if root else None


def _deployment(job: Job) -> Deployment | None:
    entry = job.spec.entry
    if entry is None:
        return None
    return Deployment(entry.id, entry.kernel_version, entry.stateroot, entry.checksum, entry.serial)


def _edits_of_base(edits: Edits, place: tuple[Extent, ...]) -> tuple[Edit, ...]:
    """The edits as offsets into the base; what lies outside the base did not reach it."""
    if not place:  # the base is a volume that only a kernel puts together, and so are the edits
        return edits.edits
    return tuple(
        Edit(part.offset, part.length, edit.why)
        for edit in edits.edits
        for part in translated([Extent(edit.offset, edit.length)], place)
    )


def _tool_versions(job: Job) -> dict[str, str]:
    """The first line each program that worked on the build says of itself."""
    names = ["qemu-img", "grub-fstest" if job.engine == "direct" else "guestfish"]
    if job.spec.edit_engine == "guestfs" and "guestfish" not in names:
        names.append("guestfish")
    known = [name for name in names if tools.find(name)]
    return {name: run([name, "--version"]).text.partition("\n")[0].strip() for name in known}
