"""What an image's boot loader can start: BLS entries, else GRUB's menu, each led to its root."""

import msgspec

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe, FileMissing
from bakery.image.reader import Reader
from bakery.image.root_volume import root_volume
from bakery.system import bls, grub, kargs, ostree
from bakery.system.loader import GRUB_FILES

ENTRIES_LIMIT = 64
# Files that tell one deployment from another, of which most systems have the first.
PROBES = ("fstab", "passwd", "machine-id")
FOR_THE_CURIOUS = "bakery inspect shows all that was found"


class BootEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the boot loader can start. Paths are inside the boot volume unless said."""

    id: str
    title: str
    kernel: str
    initrds: tuple[str, ...]
    args: tuple[str, ...]
    config: str
    """The file this entry was read from."""
    kernel_version: str = ""
    root: str = ""
    """The name of its root volume; empty where `root=` leads to none."""
    stateroot: str = ""
    checksum: str = ""
    serial: int = 0
    etc: str = "/etc"
    """The folder of its configuration files, inside the root volume."""
    problem: str = ""
    """Why it cannot be built; empty where it can."""


def find(
    reader: Reader, boot: Volume, prefix: str, roots: tuple[str, ...]
) -> tuple[BootEntry, ...]:
    """The entries under `prefix` of the boot volume, what the boot loader takes first in front.

    `roots` are the devices that look like a root filesystem. An entry that cannot be built is
    told of with its problem; only a configuration that cannot be read at all is a BakeryError.
    """
    found = _from_bls(reader, boot, prefix) or _from_grub(reader, boot, prefix)
    return tuple(_completed(entry, reader, boot, prefix, roots) for entry in found)


def has_any(reader: Reader, boot: Volume, prefix: str) -> bool:
    """Whether a boot loader's configuration stands under `prefix` of this volume."""
    names = reader.names(boot, prefix or "/")
    if "loader" in names and reader.directory(boot, prefix + "/loader/entries"):
        return True
    return any(
        path.partition("/")[0] in names and reader.exists(boot, f"{prefix}/{path}")
        for path in GRUB_FILES
    )


def _from_bls(reader: Reader, boot: Volume, prefix: str) -> list[BootEntry]:
    folder = prefix + "/loader/entries"
    names = sorted(name for name in reader.names(boot, folder) if name.endswith(".conf"))
    if len(names) > ENTRIES_LIMIT:
        raise BakeryError(f"{folder} on {boot.device} holds more than {ENTRIES_LIMIT} entries")
    environment = _environment(reader, boot, prefix) if names else {}
    entries = []
    for name in names:
        try:
            text = reader.engine.read_file(boot, f"{folder}/{name}")
            entries.append(bls.parse(text, name, environment))
        except BakeryError as error:  # a boot loader passes over what it cannot read, so do we
            reader.notes.append(error.message)
    return [
        BootEntry(
            id=entry.id,
            title=entry.title or entry.id,
            kernel=entry.linux,
            initrds=entry.initrd,
            args=bls.arguments(entry, environment),
            config=f"{folder}/{entry.id}{bls.SUFFIX}",
        )
        for entry in bls.order(entries, environment.get("saved_entry", ""))
    ]


def _from_grub(reader: Reader, boot: Volume, prefix: str) -> list[BootEntry]:
    for name in GRUB_FILES:
        path = f"{prefix}/{name}"
        text = reader.text(boot, path) if reader.exists(boot, path) else None
        if text is None:
            continue
        menu = grub.ordered(text, _environment(reader, boot, prefix))
        return [
            BootEntry(
                id=entry.id or entry.title,
                title=entry.title,
                kernel=entry.linux,
                initrds=tuple(entry.initrd),
                args=tuple(entry.args),
                config=path,
            )
            for entry in menu[:ENTRIES_LIMIT]
        ]
    return []


def _environment(reader: Reader, boot: Volume, prefix: str) -> dict[str, str]:
    """GRUB's saved variables, which BLS options and `set default` may refer to."""
    for folder in ("grub2", "grub"):
        path = f"{prefix}/{folder}/grubenv"
        if reader.exists(boot, path):
            text = reader.text(boot, path)
            return dict(grub.parse_environment(text)) if text else {}
    return {}


def _completed(
    entry: BootEntry, reader: Reader, boot: Volume, prefix: str, roots: tuple[str, ...]
) -> BootEntry:
    """The entry with its real paths, its root volume and its deployment, or with its problem."""
    try:
        entry = _with_files(entry, reader, boot, prefix)
        root = root_volume(entry.id, entry.args, reader, roots)
        return _with_deployment(msgspec.structs.replace(entry, root=root.name), reader)
    except BakeryError as error:
        return msgspec.structs.replace(entry, problem=error.message)


def _with_files(entry: BootEntry, reader: Reader, boot: Volume, prefix: str) -> BootEntry:
    if not entry.initrds:
        raise BakeryError(f"the boot entry {entry.id} names no initrd")
    if not entry.args:
        raise BakeryError(f"the kernel arguments of the boot entry {entry.id} come out empty")
    return msgspec.structs.replace(
        entry,
        kernel=_located(reader, boot, prefix, entry.kernel, entry.id),
        initrds=tuple(_located(reader, boot, prefix, i, entry.id) for i in entry.initrds),
        kernel_version=_version(entry.kernel),
    )


def _located(reader: Reader, boot: Volume, prefix: str, path: str, entry_id: str) -> str:
    """The path inside the boot volume: entries name it from /boot or from the volume's root."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise BakeryError(f"the boot entry {entry_id} names {path}, which is not an absolute path")
    candidates = [prefix + path, path] if prefix else [path, path.removeprefix("/boot")]
    if boot.subvolume:  # GRUB names a file from the top level on, unless it was told otherwise
        candidates.append(path.removeprefix(f"/{boot.subvolume}"))
    for candidate in dict.fromkeys(candidates):
        if reader.exists(boot, candidate):
            return candidate
    raise BakeryError(f"the boot entry {entry_id} names {path}, which is not on {boot.device}")


def _version(kernel: str) -> str:
    """The kernel's version as its file name tells it: `vmlinuz-6.1.0-25-amd64`."""
    return kernel.rpartition("/")[2].partition("-")[2]


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
