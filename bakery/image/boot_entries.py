"""What an image's boot loaders can start, each led to its files, its root, its deployment."""

from collections.abc import Sequence

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot import chain
from bakery.image.boot.chain import Chain
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.engines.base import CannotServe, FileMissing
from bakery.image.reader import Place, Reader
from bakery.image.root_volume import root_volume
from bakery.system import kargs, ostree

# Files that tell one deployment from another, of which most systems have the first.
PROBES = ("fstab", "passwd", "machine-id")
FOR_THE_CURIOUS = "bakery inspect shows all that was found"


def find(
    reader: Reader, opened: Sequence[Volume], trees: Sequence[Volume], roots: tuple[str, ...]
) -> Chain:
    """What firmware comes to in the image, and what else there is: see `boot.chain`.

    `opened` are the volumes that can be read, `trees` all in them, `roots` the names of those that
    look like a root filesystem. An entry that cannot be built is told of with its problem.
    """
    found = chain.read(reader, opened, trees)
    entries = tuple(_completed(entry, reader, roots) for entry in found.entries)
    return msgspec.structs.replace(found, entries=entries)


def place(reader: Reader, file: ImageFile) -> Place | None:
    """The volume and the path of a file; None where the image has no such volume."""
    volume = reader.survey.volume(file.volume)
    return Place(volume, file.path) if volume else None


def _completed(entry: BootEntry, reader: Reader, roots: tuple[str, ...]) -> BootEntry:
    """The entry with its root volume and its deployment, or with its problem."""
    if entry.problem:
        return entry
    try:
        _check_files(entry, reader)
        root = root_volume(entry.id, entry.args, reader, roots)
        entry = msgspec.structs.replace(
            entry, root=root.name, kernel_version=entry.kernel_version or _version(entry.kernel)
        )
        return _with_deployment(entry, reader)
    except BakeryError as error:
        return msgspec.structs.replace(entry, problem=error.message)


def _check_files(entry: BootEntry, reader: Reader) -> None:
    """BakeryError where the entry has no arguments or no initrd, or a file is not there."""
    if not entry.initrds:
        raise BakeryError(f"the boot entry {entry.id} names no initrd")
    if not entry.args:
        raise BakeryError(f"the kernel arguments of the boot entry {entry.id} come out empty")
    for file in (entry.kernel, *entry.initrds):
        found = place(reader, file)
        if found is None or not reader.exists(*found):
            raise BakeryError(
                f"the boot entry {entry.id} names {file.path}, which is not on {file.volume}"
            )


def _version(kernel: ImageFile) -> str:
    """The kernel's version as its file name tells it: `vmlinuz-6.1.0-25-amd64`."""
    return kernel.path.rpartition("/")[2].partition("-")[2]


def _with_deployment(entry: BootEntry, reader: Reader) -> BootEntry:
    argument = kargs.value(entry.args, "ostree")
    root = reader.survey.volume(entry.root)
    assert root is not None
    if argument is not None:
        path = ostree.parse_boot_argument(argument)
        name = _deployment(reader, root, path)
        entry = msgspec.structs.replace(
            entry,
            stateroot=path.stateroot,
            checksum=name.checksum,
            serial=name.serial,
            etc=name.path(path.stateroot) + "/etc",
        )
    return entry


def _deployment(reader: Reader, root: Volume, path: ostree.BootPath) -> ostree.DeploymentName:
    """The deployment the boot link leads to: the one whose files are those behind the link."""
    folder = f"/ostree/deploy/{path.stateroot}/deploy"
    names = [
        ostree.parse_deployment_name(entry.name)
        for entry in reader.directory(root, folder)
        if entry.is_directory
    ]
    probe = next((p for p in PROBES if reader.text(root, f"{path.path}/etc/{p}") is not None), None)
    if not names or probe is None:
        raise BakeryError(f"ostree={path.path} does not lead to a deployment on {root.device}")
    if len(names) == 1:
        return names[0]
    matching = [name for name in names if _leads_to(reader, root, path, name, probe)]
    if len(matching) != 1:
        raise CannotServe(f"cannot tell which of {len(names)} deployments {path.path} is")
    return matching[0]


def _leads_to(
    reader: Reader, root: Volume, path: ostree.BootPath, name: ostree.DeploymentName, probe: str
) -> bool:
    """Whether the boot link leads to this deployment.

    /etc is a deployment's own copy, never a hard link into the repository.
    """
    own = f"{name.path(path.stateroot)}/etc/{probe}"
    try:
        return reader.engine.same_file(root, f"{path.path}/etc/{probe}", own)
    except FileMissing:
        return False
