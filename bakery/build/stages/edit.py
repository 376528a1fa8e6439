"""Stage edit: the one change the base needs, made in an overlay and measured afterwards.

Layouts pv and lv leave volumes behind: their names go out of the system's files, or others take
their place (`image/left_behind.py`). A whole disk keeps all; there the kernel arguments are
edited where the image's own boot loader reads them.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from bakery.build.spec import EditKind
from bakery.build.stages.job import SOURCE, Job
from bakery.build.stages.stage import Given, Inputs, Stage, write_json
from bakery.disk.copy import changes
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.host.report import Step
from bakery.image import arg_places
from bakery.image.boot.entry import BootEntry
from bakery.image.engines.base import Engine, FileMissing
from bakery.image.engines.choose import EngineName
from bakery.image.inspection import inspect
from bakery.image.left_behind import FileChange
from bakery.image.reader import Reader
from bakery.manifest.manifest import Edit
from bakery.system import fstab, kargs, lvm_devices, mdadm, mount_units

PATCH = "patch"
MAPPED = "base"


class Edits(msgspec.Struct, frozen=True):
    """What was changed, in bytes of the source disk; `files` as volume and path.

    Of a volume that only a kernel puts together the bytes are those of the volume.
    """

    edits: tuple[Edit, ...] = ()
    files: tuple[str, ...] = ()
    mounted: bool = False


class EditGiven(Given, frozen=True, kw_only=True):
    """What is edited, where, and by which engine.

    `changes` are those of names; `delete`, `append` and `kernel_args` are empty where the arguments
    stay as they are.
    """

    edit: EditKind
    engine: EngineName
    entry: BootEntry | None
    root: Volume | None
    mapped: bool
    """Whether the base is a volume that only a kernel puts together: the engine copies it."""
    changes: tuple[FileChange, ...]
    delete: tuple[str, ...]
    append: tuple[str, ...]
    kernel_args: tuple[str, ...]


def run(inputs: Inputs[EditGiven], folder: Path, step: Step) -> None:
    """Write `edits.json`, and where anything was changed `patch`: the new bytes, range by range.

    Of a mapped volume: `base`, with the changes in it.
    """
    given, opened = inputs.given, inputs.opened
    if given.edit == "none" and not given.mapped:
        write_json(folder / "edits.json", Edits())
        step.summary("nothing to edit")
        return
    engine = opened.session(given.engine)
    before, after = folder / "before", folder / MAPPED
    if given.mapped:
        _copy_mapped(given, engine, before, step)
    files = _edit_files(inputs, engine, step)
    if given.mapped and files:
        _copy_mapped(given, engine, after, step)
    elif given.mapped:
        before.rename(after)
    opened.end(given.engine)
    if not files:
        write_json(folder / "edits.json", Edits())
        step.summary("nothing to edit")
        return
    image = opened.image
    if given.mapped:
        found = changes.between(before, after)
        before.unlink()
    else:
        found = changes.changed(image.blockdev, [image.path], engine.overlay, inputs.scratch)
    why = f"edited by the {engine.name} engine: {', '.join(files)}"
    edits = tuple(Edit(change.extent.offset, change.extent.length, why) for change in found)
    (folder / PATCH).write_bytes(b"".join(change.data for change in found))
    write_json(folder / "edits.json", Edits(edits, tuple(files), engine.mounts_to_edit))
    step.summary(f"{', '.join(files)}: {sum(e.length for e in edits)} bytes changed")


def _copy_mapped(given: EditGiven, engine: Engine, path: Path, step: Step) -> None:
    assert given.root is not None
    clear = " in the clear" if given.root.device.startswith("/dev/mapper/luks-") else ""
    step.note(f"{given.root.device} is copied{clear} out of the appliance, which takes a while")
    engine.copy_volume(given.root, path)


def _edit_files(inputs: Inputs[EditGiven], engine: Engine, step: Step) -> list[str]:
    """Make the edit; the files that were changed, with their volumes."""
    if inputs.given.edit == "none":
        return []
    if inputs.given.edit == "names":
        return _edit_names(inputs.given, engine)
    return _edit_args(inputs, engine, step)


def patches(edits: Edits, patch: Path) -> list[Change]:
    """The changes of the source disk that this stage made; their bytes are in the file `patch`."""
    if not edits.edits:
        return []
    data = memoryview(patch.read_bytes())
    ends = itertools.accumulate(edit.length for edit in edits.edits)
    return [
        Change(Extent(edit.offset, edit.length), bytes(data[end - edit.length : end]))
        for edit, end in zip(edits.edits, ends, strict=True)
    ]


def _edit_names(given: EditGiven, engine: Engine) -> list[str]:
    """The names that do not hold on the node, in the files of the root volume."""
    root = given.root
    assert root is not None
    edits = [(change.path, functools.partial(_renamed, change)) for change in given.changes]
    return [name for path, edit in edits for name in _edited(engine, root, path, edit)]


def _renamed(change: FileChange, text: bytes) -> bytes:
    """The file with the changed names; a device that is gone takes its line, or its unit, along."""
    if change.kind == "fstab":
        return fstab.changed(text, change.devices)
    if change.kind == "mdadm":  # the members' own UUIDs, which live on or go
        return mdadm.without(text, change.devices)
    if change.kind == "crypttab":
        return fstab.changed(text, change.devices, fstab.CRYPTTAB_DEVICE_FIELD)
    ((line, device),) = change.devices.items()
    if change.kind == "lvm":
        return lvm_devices.switched_off(text, line)
    if device is None:
        return mount_units.without_device(text, change.point)
    return mount_units.renamed(text, line, device)


def _edit_args(inputs: Inputs[EditGiven], engine: Engine, step: Step) -> list[str]:
    """The chosen entry's arguments, in every file of the image that tells them.

    Before anything is written the image is read as it will be, in the way that firmware and
    loaders read it: BakeryError where the entry does not come out with its new arguments; what
    else would still start the old way is noted.
    """
    given, entries, reader = inputs.given, inputs.inspection.entries, inputs.opened.reader
    entry = given.entry
    assert entry
    asked = arg_places.Asked(
        delete=given.delete, append=given.append, old=entry.args, new=given.kernel_args
    )
    changes = list(arg_places.changes(reader, entries, entry, asked))
    texts, why = _texts(reader, changes)
    why += [
        f"{file} is not changed: it carries its arguments sealed inside"
        for file in arg_places.sealed(entries, entry)
    ]
    why += arg_places.not_read(reader, entry)
    after = inspect(reader.with_texts(texts)).entries
    arg_places.refuse_unchanged(after, entry, asked, why)
    for other in arg_places.unchanged(after, entry, asked):
        why.append(f"{other.title} ({other.config}) keeps the arguments {kargs.join(other.args)}")
    for text in why:
        step.note(text)
    return [name for change in changes for name in _replaced(engine, change, texts)]


def _texts(
    reader: Reader, changes: Iterable[arg_places.Change]
) -> tuple[dict[tuple[str, str], bytes], list[str]]:
    """The new texts of the files that change, by volume and path, and why others do not."""
    texts, why = {}, []
    for volume, path, edit in changes:
        try:
            texts[volume.name, path] = edit(reader.text(volume, path) or b"")
        except BakeryError as error:
            why.append(f"{volume.name}:{path} is not changed: {error.message}")
    return texts, why


def _replaced(
    engine: Engine, change: arg_places.Change, texts: Mapping[tuple[str, str], bytes]
) -> list[str]:
    new = texts.get((change.volume.name, change.path))
    return [] if new is None else _edited(engine, change.volume, change.path, lambda _old: new)


def _edited(engine: Engine, volume: Volume, path: str, edit: Callable[[bytes], bytes]) -> list[str]:
    try:
        old = engine.read_file(volume, path)
    except FileMissing:
        return []
    new = edit(old)
    if new == old:
        return []
    engine.replace(volume, path, old, new)
    return [f"{volume.name}:{path}"]


def _given(job: Job) -> EditGiven:
    spec, options = job.spec, job.options
    edits_args = spec.edit == "kargs"
    return EditGiven(
        edit=spec.edit,
        engine=spec.edit_engine,
        entry=spec.entry,
        root=spec.root,
        mapped=not spec.place,
        changes=spec.changes,
        delete=options.karg_delete if edits_args else (),
        append=options.karg_append if edits_args else (),
        kernel_args=spec.kernel_args if edits_args else (),
    )


STAGE = Stage(
    name="edit",
    version=4,
    text="what the base needs changed",
    reads=(SOURCE, "inspect"),
    given=_given,
    run=run,
)
