"""What an image's boot loader can start: BLS entries, else GRUB's menu, each led to its root."""

import msgspec

from bakery.disk.volumes import LUKS, Volume
from bakery.engines.base import CannotServe, FileMissing
from bakery.errors import BakeryError
from bakery.look import Look
from bakery.system import bls, grub, kargs, ostree

GRUB_FILES = ("grub2/grub.cfg", "grub/grub.cfg")
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
    """The device of its root volume; empty where `root=` leads to none."""
    stateroot: str = ""
    checksum: str = ""
    serial: int = 0
    etc: str = "/etc"
    """The folder of its configuration files, inside the root volume."""
    fstab_obstacle: str = ""
    """Why the engine that looked cannot edit its fstab in place; empty where it can."""
    problem: str = ""
    """Why it cannot be built; empty where it can."""


def find(look: Look, boot: Volume, prefix: str, roots: tuple[str, ...]) -> tuple[BootEntry, ...]:
    """The entries under `prefix` of the boot volume, what the boot loader takes first in front.

    `roots` are the devices that look like a root filesystem. An entry that cannot be built is
    told of with its problem; only a configuration that cannot be read at all is a BakeryError.
    """
    found = _from_bls(look, boot, prefix) or _from_grub(look, boot, prefix)
    return tuple(_completed(entry, look, boot, prefix, roots) for entry in found)


def has_any(look: Look, boot: Volume, prefix: str) -> bool:
    """Whether a boot loader's configuration stands under `prefix` of this volume."""
    names = look.names(boot, prefix or "/")
    if "loader" in names and look.directory(boot, prefix + "/loader/entries"):
        return True
    return any(
        path.partition("/")[0] in names and look.exists(boot, f"{prefix}/{path}")
        for path in GRUB_FILES
    )


def _from_bls(look: Look, boot: Volume, prefix: str) -> list[BootEntry]:
    folder = prefix + "/loader/entries"
    names = sorted(name for name in look.names(boot, folder) if name.endswith(".conf"))
    if len(names) > ENTRIES_LIMIT:
        raise BakeryError(f"{folder} on {boot.device} holds more than {ENTRIES_LIMIT} entries")
    environment = _environment(look, boot, prefix) if names else {}
    entries = []
    for name in names:
        try:
            text = look.engine.read_file(boot, f"{folder}/{name}")
            entries.append(bls.parse(text, name, environment))
        except BakeryError as error:  # a boot loader passes over what it cannot read, so do we
            look.notes.append(error.message)
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


def _from_grub(look: Look, boot: Volume, prefix: str) -> list[BootEntry]:
    for name in GRUB_FILES:
        path = f"{prefix}/{name}"
        text = look.text(boot, path) if look.exists(boot, path) else None
        if text is None:
            continue
        menu = grub.ordered(grub.parse(text), _environment(look, boot, prefix))
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


def _environment(look: Look, boot: Volume, prefix: str) -> dict[str, str]:
    """GRUB's saved variables, which BLS options and `set default` may refer to."""
    for folder in ("grub2", "grub"):
        path = f"{prefix}/{folder}/grubenv"
        if look.exists(boot, path):
            text = look.text(boot, path)
            return dict(grub.parse_environment(text)) if text else {}
    return {}


def _completed(
    entry: BootEntry, look: Look, boot: Volume, prefix: str, roots: tuple[str, ...]
) -> BootEntry:
    """The entry with its real paths, its root volume and its deployment, or with its problem."""
    try:
        entry = _with_files(entry, look, boot, prefix)
        entry = _with_root(entry, look, roots)
        return _with_deployment(entry, look)
    except BakeryError as error:
        return msgspec.structs.replace(entry, problem=error.message)


def _with_files(entry: BootEntry, look: Look, boot: Volume, prefix: str) -> BootEntry:
    if not entry.initrds:
        raise BakeryError(f"the boot entry {entry.id} names no initrd")
    return msgspec.structs.replace(
        entry,
        kernel=_located(look, boot, prefix, entry.kernel, entry.id),
        initrds=tuple(_located(look, boot, prefix, i, entry.id) for i in entry.initrds),
        kernel_version=_version(entry.kernel),
    )


def _located(look: Look, boot: Volume, prefix: str, path: str, entry_id: str) -> str:
    """The path inside the boot volume: entries name it from /boot or from the volume's root."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise BakeryError(f"the boot entry {entry_id} names {path}, which is no absolute path")
    candidates = [prefix + path, path] if prefix else [path, path.removeprefix("/boot")]
    for candidate in dict.fromkeys(candidates):
        if look.exists(boot, candidate):
            return candidate
    raise BakeryError(f"the boot entry {entry_id} names {path}, which is not on {boot.device}")


def _version(kernel: str) -> str:
    """The kernel's version as its file name tells it: `vmlinuz-6.1.0-25-amd64`."""
    return kernel.rpartition("/")[2].partition("-")[2]


def _with_root(entry: BootEntry, look: Look, roots: tuple[str, ...]) -> BootEntry:
    wanted = kargs.value(entry.args, "root")
    if wanted:
        named = [v for v in look.survey.volumes if answers(wanted, v, look)]
        if len(named) == 1:
            return msgspec.structs.replace(entry, root=named[0].device)
        if not named:
            locked = [v.device for v in look.survey.volumes if v.type == LUKS]
            more = f"; {', '.join(locked)} is encrypted (LUKS)" if locked else ""
            raise BakeryError(f"root={wanted} of {entry.id} names no volume of this image{more}")
        roots = tuple(volume.device for volume in named)
    if len(roots) != 1:
        what = f"{len(roots)} root filesystems ({', '.join(roots)})" if roots else "no root"
        raise BakeryError(f"the image holds {what}, and {entry.id} does not tell which to take")
    return msgspec.structs.replace(entry, root=roots[0])


def answers(wanted: str, volume: Volume, look: Look) -> bool:
    """Whether `root=WANTED` means this volume (dracut.cmdline(7), kernel-parameters `root=`)."""
    kind, _, text = wanted.partition("=")
    if text:
        text = text.strip('"')
        known = {"UUID": volume.uuid, "LABEL": volume.label, "PARTUUID": _partuuid(volume, look)}
        return bool(text) and known.get(kind, "").lower() == text.lower()
    lv = look.survey.logical_volume(volume.device)
    if lv is not None:
        return wanted in (lv.device, lv.mapper)
    by_path = {
        f"/dev/disk/by-uuid/{volume.uuid}": bool(volume.uuid),
        f"/dev/disk/by-label/{volume.label}": bool(volume.label),
    }
    number = volume.device.removeprefix("/dev/sda")
    disks = ("/dev/sda", "/dev/vda", "/dev/hda", "/dev/xvda", "/dev/nvme0n1p")
    return by_path.get(wanted, False) or wanted in {disk + number for disk in disks}


def _partuuid(volume: Volume, look: Look) -> str:
    table = look.survey.table
    partitions = table.partitions if table else ()
    return next((p.uuid for p in partitions if p.device == volume.device), "")


def _with_deployment(entry: BootEntry, look: Look) -> BootEntry:
    argument = kargs.value(entry.args, "ostree")
    root = look.survey.volume(entry.root)
    assert root is not None
    if argument is None:
        return _with_obstacle(entry, look, root)
    path = ostree.parse_boot_argument(argument)
    name = _deployment(look, root, path)
    entry = msgspec.structs.replace(
        entry,
        stateroot=path.stateroot,
        checksum=name.checksum,
        serial=name.serial,
        etc=name.path(path.stateroot) + "/etc",
    )
    return _with_obstacle(entry, look, root)


def _deployment(look: Look, root: Volume, path: ostree.BootPath) -> ostree.DeploymentName:
    """The deployment the boot link leads to: the one whose files are those behind the link."""
    folder = f"/ostree/deploy/{path.stateroot}/deploy"
    names = [
        ostree.parse_deployment_name(entry.name)
        for entry in look.directory(root, folder)
        if entry.is_directory
    ]
    probe = next((p for p in PROBES if look.text(root, f"{path.path}/etc/{p}") is not None), None)
    if not names or probe is None:
        raise BakeryError(f"ostree={path.path} leads to no deployment on {root.device}")
    if len(names) == 1:
        return names[0]
    matching = [name for name in names if _leads_to(look, root, path, name, probe)]
    if len(matching) != 1:
        raise CannotServe(f"which of {len(names)} deployments {path.path} is cannot be told")
    return matching[0]


def _leads_to(
    look: Look, root: Volume, path: ostree.BootPath, name: ostree.DeploymentName, probe: str
) -> bool:
    """Whether the boot link leads to this deployment.

    /etc is a deployment's own copy, never a hard link into the repository.
    """
    own = f"{name.path(path.stateroot)}/etc/{probe}"
    try:
        return look.engine.same_file(root, f"{path.path}/etc/{probe}", own)
    except FileMissing:
        return False


def _with_obstacle(entry: BootEntry, look: Look, root: Volume) -> BootEntry:
    """Whether the fstab could be edited in place, as far as the engine that looks can tell."""
    try:
        obstacle = look.engine.cannot_edit(root, entry.etc + "/fstab")
    except FileMissing:
        return entry
    return msgspec.structs.replace(entry, fstab_obstacle=obstacle or "")
