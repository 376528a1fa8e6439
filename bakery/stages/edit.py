"""Stage edit: the one change the base needs, made in an overlay and measured afterwards.

Layouts pv and lv leave /boot behind, so its fstab entry goes. A whole disk keeps its /boot; there
the kernel arguments are edited where the image's own boot loader reads them.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import msgspec

from bakery.disk import changes
from bakery.disk.changes import Change
from bakery.disk.extents import Extent
from bakery.disk.volumes import Volume
from bakery.engines.base import Engine, FileMissing
from bakery.errors import BakeryError
from bakery.manifest import Edit
from bakery.report import Step
from bakery.stages.job import Job, Stage, write_json
from bakery.system import bls, fstab, kargs, loader

PATCH = "patch"


class Edits(msgspec.Struct, frozen=True):
    """What was changed, in bytes of the source disk; `files` as volume and path."""

    edits: tuple[Edit, ...] = ()
    files: tuple[str, ...] = ()
    mounted: bool = False


def run(job: Job, folder: Path, step: Step) -> None:
    """Write `edits.json`, and where anything was changed `patch`: the new bytes, range by range."""
    choice = job.choice
    if choice.edit == "none":
        write_json(folder / "edits.json", Edits())
        step.summary("nothing to edit")
        return
    engine = job.session(choice.edit_engine)
    engine.survey()
    files = _edit_fstab(job, engine) if choice.edit == "fstab" else _edit_kernel_args(job, engine)
    job.close_session(choice.edit_engine)
    if not files:
        write_json(folder / "edits.json", Edits())
        step.summary("no /boot line in the fstab" if choice.edit == "fstab" else "nothing to edit")
        return
    found = changes.changed(job.image.node, [job.image.path], engine.overlay, job.work.scratch)
    why = f"edited by the {engine.name} engine: {', '.join(files)}"
    edits = tuple(Edit(change.extent.offset, change.extent.length, why) for change in found)
    (folder / PATCH).write_bytes(b"".join(change.data for change in found))
    write_json(folder / "edits.json", Edits(edits, tuple(files), engine.mounts_to_edit))
    step.summary(f"{', '.join(files)}: {sum(e.length for e in edits)} bytes changed")


def patches(job: Job) -> list[Change]:
    """The changes of the source disk that this stage made."""
    edits = job.read("edit", "edits.json", Edits).edits
    if not edits:
        return []
    data = memoryview((job.results["edit"] / PATCH).read_bytes())
    ends = itertools.accumulate(edit.length for edit in edits)
    return [
        Change(Extent(edit.offset, edit.length), bytes(data[end - edit.length : end]))
        for edit, end in zip(edits, ends, strict=True)
    ]


def _edit_fstab(job: Job, engine: Engine) -> list[str]:
    choice = job.choice
    assert choice.root is not None
    assert choice.entry is not None
    return _edited(engine, choice.root, choice.entry.etc + "/fstab", fstab.without)


def _edit_kernel_args(job: Job, engine: Engine) -> list[str]:
    """The chosen entry's arguments, in every file of the image that tells a boot loader them."""
    choice, inspection = job.choice, job.inspection
    boot = inspection.survey.volume(inspection.boot)
    entry, root = choice.entry, choice.root
    assert entry and root and boot
    change = loader.change(job.options.karg_delete, job.options.karg_append)
    ostree = kargs.value(entry.args, "ostree")

    def in_menu(text: bytes) -> bytes:
        return loader.in_menu(text, entry.kernel, ostree, change)

    def in_entry(text: bytes) -> bytes:
        return loader.in_entry(text, entry.config, change, entry.args, choice.kernel_args)

    def in_defaults(text: bytes) -> bytes:
        return loader.in_defaults(text, entry.args, choice.kernel_args)

    places: list[tuple[Volume, str, Callable[[bytes], bytes]]] = [
        *((boot, path, in_menu) for path in loader.grub_files(inspection.boot_prefix)),
        (root, entry.etc + "/default/grub", in_defaults),
    ]
    if entry.config.endswith(bls.SUFFIX):
        places.append((boot, entry.config, in_entry))
    files = [name for volume, path, edit in places for name in _edited(engine, volume, path, edit)]
    if not files:
        raise BakeryError("no file of the image tells its boot loader the kernel arguments")
    return files


def _edited(engine: Engine, volume: Volume, path: str, edit: Callable[[bytes], bytes]) -> list[str]:
    try:
        old = engine.read_file(volume, path)
    except FileMissing:
        return []
    new = edit(old)
    if new == old:
        return []
    engine.replace(volume, path, old, new)
    return [f"{volume.device}:{path}"]


def _options(job: Job) -> dict[str, object]:
    choice = job.choice
    edited = choice.kernel_args if choice.edit == "kargs" else None
    return {
        "edit": choice.edit,
        "engine": choice.edit_engine,
        "entry": choice.entry.id if choice.entry else None,
        "kernel_args": edited,
    }


STAGE = Stage(
    name="edit",
    version=2,
    text="what the base needs changed",
    reads=("inspect",),
    options=_options,
    run=run,
)
