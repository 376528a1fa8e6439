"""Where the files of a system name a device: all of them read, once for each system of an image.

Units count that something starts: those that a `.wants` or `.requires` folder holds. Those that a
generator of systemd makes out of fstab and the kernel arguments are told of by these, and here by
their drop-ins; what it makes out of the partition table alone (Discoverable Partitions
Specification) is told of here.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import msgspec

from bakery.disk.volumes.volumes import Partition, PartitionTable, Volume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe, FileMissing
from bakery.image.reader import Reader
from bakery.system import (
    device_names,
    fstab,
    initramfs,
    lines,
    lvm_devices,
    mdadm,
    mount_units,
)
from bakery.system.mention import Mention
from bakery.system.mount_units import SUFFIXES

FileKind = Literal["fstab", "crypttab", "mdadm", "unit", "initramfs", "table", "lvm"]
"""`initramfs` are the settings of one; `table` is the partition table; `lvm` is lvm.conf, of a
system that LVM has bound to a disk."""
# What an initramfs is made with: a file, a folder of more, and how those in it are called.
SETTINGS = (
    (initramfs.tools_mentions, "/initramfs-tools/initramfs.conf", "/initramfs-tools/conf.d", ""),
    (initramfs.dracut_mentions, "/dracut.conf", "/dracut.conf.d", ".conf"),
)
SETTINGS_LIMIT = 256
MDADM_FILES = ("/mdadm.conf", "/mdadm/mdadm.conf")
UNITS_LIMIT = 256
DROP_INS = ".d"
DROP_INS_LIMIT = 64
THE_TABLE = "the partition table"
MENTIONS_LIMIT = 1000
VENDOR_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")
# Targets that a system does not go through on its way up, of which each has a folder of units.
_NOT_ON_THE_WAY = ("runlevel", "rescue", "emergency", "initrd", "getty", "timers", "sockets")
GENERATOR = "systemd-gpt-auto-generator"
LVM_DEVICES = "/lvm/devices/system.devices"
# Discoverable Partitions Specification: the types that systemd mounts without being told to.
MOUNTED_BY_TYPE = {
    "933AC7E1-2EB4-4F13-B844-0E14E2AEF915": "/home",
    "3B8F8425-20E0-4F3B-907F-1A25A76F98E8": "/srv",
    "4D21B016-B534-45C2-A9FB-5C16E091FD2D": "/var",
    "7EC6F557-3BC5-4ACA-B293-16EF5DF639D1": "/var/tmp",  # noqa: S108 - a mount point
    "8484680C-9521-48C6-9C11-B0720656F69E": "/usr",  # x86-64
    "B0E01050-EE5F-4390-949A-9101B17104E9": "/usr",  # arm64
}


class DeviceFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that names devices, with all that it names."""

    path: str
    kind: FileKind
    mentions: tuple[Mention, ...]
    size_bytes: int = 0
    spare_bytes: int = 0
    """How many bytes its comments could give to a line that grows."""
    obstacle: str = ""
    """Why the engine that looked cannot change it in place; empty where it can."""


class Source(NamedTuple):
    """What may name devices, as an error tells of it, and its reading."""

    path: str
    read: Callable[[], Iterator[DeviceFile]]


def find(reader: Reader, root: Volume, etc: str) -> tuple[DeviceFile, ...]:
    """The files of the system on `root` whose configuration lies in `etc` that name a device.

    BakeryError where one is there that cannot be read or makes no sense.
    """
    return tuple(file for source in sources(reader, root, etc) for file in source.read())


def sources(reader: Reader, root: Volume, etc: str) -> Iterator[Source]:
    """Everything that may name devices, each to be read by itself; one that is not there is empty.

    `find` has all of it. BakeryError where there are units without end.
    """
    table = partial(_table, reader, root)
    yield table(etc + "/fstab", "fstab", fstab.mentions)
    yield table(etc + "/crypttab", "crypttab", fstab.crypttab_mentions)
    for name in MDADM_FILES:
        yield table(etc + name, "mdadm", mdadm.mentions)
    yield from _units(reader, root, etc)
    yield from _settings(reader, root, etc)
    yield Source(THE_TABLE, partial(_by_type, reader, root, etc))
    yield Source(etc + LVM_DEVICES, partial(_bound, reader, root, etc))


def _table(
    reader: Reader,
    root: Volume,
    path: str,
    kind: FileKind,
    read: Callable[[bytes], tuple[Mention, ...]],
) -> Source:
    def files() -> Iterator[DeviceFile]:
        text = reader.text(root, path)
        if text:
            yield from _file(reader, root, path, kind, text, read(text))

    return Source(path, files)


def _units(reader: Reader, root: Volume, etc: str) -> Iterator[Source]:
    """The units of mounts and swaps that something starts, what the system's owner wrote first."""
    own = etc + "/systemd/system"
    top = etc.removesuffix("/etc")
    vendor = ((top + path, _names(reader, root, top + path)) for path in VENDOR_UNITS)
    merged = next(((folder, names) for folder, names in vendor if names), None)
    folders = dict([(own, _names(reader, root, own)), *([merged] if merged else [])])
    wanted = _wanted(reader, root, folders)
    # What nothing starts by name is still started for a path below it (systemd.unit(5),
    # RequiresMountsFor).
    wanted |= {name: wanted.get(name, False) for name in folders[own] if _is_mount(name)}
    if any(name.endswith(f"{suffix}{DROP_INS}") for suffix in SUFFIXES for name in folders[own]):
        wanted = _generated(reader, root, etc) | wanted
    if len(wanted) > UNITS_LIMIT:
        raise BakeryError(f"more than {UNITS_LIMIT} units mount or swap in {own}")
    for name, required in sorted(wanted.items()):
        paths = [f"{folder}/{name}" for folder in folders if name in folders[folder]][:1]
        paths += _drop_ins(reader, root, folders, name)
        if paths:
            read = partial(_unit, reader, root, name, paths, required=required)
            yield Source(paths[0], read)


def _unit(
    reader: Reader, root: Volume, name: str, paths: list[str], *, required: bool
) -> Iterator[DeviceFile]:
    """The file of a unit that names its device: its own, or the last drop-in that does."""
    texts = [_unit_text(reader, root, path) for path in paths]
    if paths[0].endswith(f"/{name}") and not texts[0]:
        return  # it is masked, and no drop-in changes that
    said = [text or b"" for text in texts]
    found = mount_units.mention(said, name, required=required)
    if found:
        named = (found.mention, *fstab.further(found.mention))
        yield from _file(reader, root, paths[found.text], "unit", said[found.text], named)


def _settings(reader: Reader, root: Volume, etc: str) -> Iterator[Source]:
    """The settings that the system's initramfs is made with."""
    for read, file, folder, ending in SETTINGS:
        names = sorted(i.name for i in reader.items(root, etc + folder) if not i.is_directory)
        inside = [f"{folder}/{name}" for name in names if name.endswith(ending)]
        if len(inside) > SETTINGS_LIMIT:
            raise BakeryError(f"{etc}{folder} holds more than {SETTINGS_LIMIT} files")
        for path in (file, *inside):
            yield Source(etc + path, partial(_setting, reader, root, etc + path, read))


def _setting(
    reader: Reader, root: Volume, path: str, read: Callable[[bytes], tuple[Mention, ...]]
) -> Iterator[DeviceFile]:
    text = _unit_text(reader, root, path)
    if text:
        yield from _file(reader, root, path, "initramfs", text, read(text))


def _generated(reader: Reader, root: Volume, etc: str) -> dict[str, bool]:
    """The units that are made of fstab, and whether something fails without.

    That it makes no sense, its own reading tells.
    """
    try:
        mounts = fstab.mentions(reader.text(root, etc + "/fstab") or b"")
    except CannotServe:
        raise
    except BakeryError:
        return {}
    return {mount_units.name_of(m.point): not m.optional for m in mounts if m.use == "mount"}


def _drop_ins(reader: Reader, root: Volume, folders: dict[str, set[str]], name: str) -> list[str]:
    """The drop-ins of a unit, ordered by their names alone; of two that share one the first counts
    (systemd.unit(5))."""
    found: dict[str, str] = {}
    for folder, names in folders.items():
        if name + DROP_INS in names:
            for inside in _names(reader, root, f"{folder}/{name}{DROP_INS}"):
                found.setdefault(inside, f"{folder}/{name}{DROP_INS}/{inside}")
    chosen = [found[inside] for inside in sorted(found) if inside.endswith(".conf")]
    if len(chosen) > DROP_INS_LIMIT:
        raise BakeryError(f"{name} has more than {DROP_INS_LIMIT} drop-ins")
    return chosen


def _wanted(reader: Reader, root: Volume, folders: dict[str, set[str]]) -> dict[str, bool]:
    """The units that are started, and whether something fails without.

    An automount has its mount started when somebody looks there.
    """
    wanted: dict[str, bool] = {}
    for folder, names in folders.items():
        for pulling in sorted(names):
            target, _, kind = pulling.rpartition(".")
            if kind not in ("wants", "requires") or target.startswith(_NOT_ON_THE_WAY):
                continue
            for name in _names(reader, root, f"{folder}/{pulling}"):
                if name.endswith(mount_units.AUTOMOUNT):
                    wanted.setdefault(name.replace(mount_units.AUTOMOUNT, ".mount"), False)
                elif _is_mount(name):
                    wanted[name] = kind == "requires" or wanted.get(name, False)
    return wanted


def _is_mount(name: str) -> bool:
    return name.endswith(SUFFIXES) and not mount_units.is_of_kernel(name)


def _names(reader: Reader, root: Volume, folder: str) -> set[str]:
    """The names in a folder; most of those of units are links, which nobody has to follow."""
    return {item.name for item in reader.items(root, folder)}


def _unit_text(reader: Reader, root: Volume, path: str) -> bytes | None:
    """The text of a unit or a setting; None where a link to what is no file masks it."""
    try:
        return reader.engine.read_file(root, path)
    except FileMissing:
        return None
    except BakeryError as error:
        if "not a regular file" in error.message:
            return None
        raise


def by_type(table: PartitionTable | None) -> tuple[tuple[Partition, Mention], ...]:
    """The partitions that systemd mounts since the table says what they are for."""
    if table is None or table.label != "gpt":
        return ()
    return tuple(
        (partition, Mention(device=f"PARTUUID={partition.uuid}", use="mount", point=point))
        for partition in table.partitions
        if partition.uuid and (point := MOUNTED_BY_TYPE.get(partition.type.upper()))
    )


def _by_type(reader: Reader, root: Volume, etc: str) -> Iterator[DeviceFile]:
    """What the system mounts by type, where it has what does that."""
    folder = etc.removesuffix("/etc") + "/usr/lib/systemd/system-generators"
    typed = by_type(reader.survey.table)
    found = tuple(mention for partition, mention in typed if _holds_files(reader, partition))
    if found and GENERATOR in _names(reader, root, folder):
        yield DeviceFile(path=THE_TABLE, kind="table", mentions=found)


def _holds_files(reader: Reader, partition: Partition) -> bool:
    volume = reader.survey.volume(partition.device)
    return volume is not None and volume.type not in ("", "swap")


def _bound(reader: Reader, root: Volume, etc: str) -> Iterator[DeviceFile]:
    """LVM's configuration, where a devices file binds it to a disk, with the switch of that."""
    if not lvm_devices.binds(reader.text(root, etc + LVM_DEVICES) or b""):
        return
    path = etc + "/lvm/lvm.conf"
    text = reader.text(root, path) or b""
    line = lvm_devices.switch_line(text)
    if not line:
        yield DeviceFile(path=path, kind="lvm", mentions=())
        return
    length = len(text.split(b"\n")[line - 1])
    switch = Mention(device=etc + LVM_DEVICES, use="lvm", line=line, line_bytes=length)
    yield from _file(reader, root, path, "lvm", text, (switch,))


def _file(
    reader: Reader,
    root: Volume,
    path: str,
    kind: FileKind,
    text: bytes,
    mentions: tuple[Mention, ...],
) -> Iterator[DeviceFile]:
    """A file, if it names any device of a disk, or a path that may lie on one."""
    found = tuple(m for m in mentions if device_names.is_of_a_disk(m.device))
    if len(found) > MENTIONS_LIMIT:
        raise BakeryError(f"{path} names more than {MENTIONS_LIMIT} devices")
    if found:
        comments = filter(lines.is_comment, text.split(b"\n"))
        yield DeviceFile(
            path=path,
            kind=kind,
            mentions=found,
            size_bytes=len(text),
            spare_bytes=sum(map(lines.spare_bytes, comments)),
            obstacle=reader.engine.cannot_edit(root, path) or "",
        )
