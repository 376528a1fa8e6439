"""What a base leaves behind of all that its system names, and what is done about each name.

A name *travels* where the layout carries the volume it means; it is *left behind* where the volume
is on the disk and not carried; it is *of another disk* where it is a device's and no volume here
has it; and what is no device of a disk (a network share, tmpfs, a path) is *none*. What follows of
that is one table, POLICY, by what the device is for.
"""

import posixpath
from collections.abc import Iterator
from typing import Literal

import msgspec

from bakery.disk.volumes.volumes import Survey, Volume
from bakery.image.boot.esp import is_system_partition
from bakery.image.carried import Carried, carried
from bakery.image.mentions import DeviceFile, FileKind
from bakery.manifest.manifest import Done, Layout, LeftBehind
from bakery.system import boot_devices, device_names, kargs, mount_units
from bakery.system.kargs import Args
from bakery.system.mention import Mention

Fate = Literal["travels", "left", "elsewhere", "none"]
Group = Literal["root", "boot", "asked", "needed", "optional", "swap", "initramfs", "fips", "baked"]
"""What a mention is to the boot: `boot` are kernels and firmware, which a base is given apart;
`asked` is what the user said he can do without; `initramfs` is waited for before the root is;
`baked` is what the initramfs was made with, which nothing changes but making it anew."""

POLICY: dict[Group, dict[Fate, Done]] = {
    "root": {"left": "rewritten", "elsewhere": "rewritten"},
    "boot": {"left": "taken out", "elsewhere": "taken out"},
    "asked": {"left": "taken out", "elsewhere": "taken out"},
    "needed": {"left": "refused", "elsewhere": "noted"},
    "optional": {"left": "noted"},
    "swap": {"left": "taken out", "elsewhere": "taken out"},
    "initramfs": {"left": "taken out", "elsewhere": "noted"},
    "fips": {"left": "refused", "elsewhere": "refused"},
    "baked": {"left": "noted", "elsewhere": "noted"},
}
"""What is done where a name does not travel; what is not in it is no matter for a word."""

NOTHING_WITHOUT = ("/", "/usr")
# How far a name is followed through what is opened and what is mounted.
WAY_LIMIT = 32
KERNEL_ARGUMENT = "kernel argument"
ANOTHER_DISK = "is of another disk, and stays as it is"
FIPS = "the kernel's checksum"
OF_ANY_DISK = "may be of this disk or of another, and stays as it is"
OF_HARDWARE = "is this disk only where the node calls it the same"
BAKED = (
    "may be baked into the initramfs, which would wait for it: where that is so, make it anew "
    "without, and build again"
)
IN_AN_OPTION = "is named by an option of a mount, which is not rewritten"
NAMELESS = "has no UUID to name it by as UUID=…"
BOUND = (
    "is the only one LVM will look at, so other volumes than the root may stay away: delete "
    "it first, as bakery scrub does"
)


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """What changes in a file of the root volume: other devices, by line; None takes one out."""

    path: str
    kind: FileKind
    devices: dict[int, str | None]
    point: str = ""
    """Where a unit mounts; empty for a swap's."""


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """All that follows for one system in one layout."""

    items: tuple[LeftBehind, ...] = ()
    changes: tuple[FileChange, ...] = ()
    args: Args = ()
    """The kernel arguments as the base has them."""
    obstacle: str = ""
    """Why the engine that looked cannot make the changes in place; empty where it can."""
    grows: str = ""
    """The file that would not keep its length; empty where all do."""


def refusal(items: tuple[LeftBehind, ...]) -> str:
    """Why the system would not come up, as a sentence about it; empty where it would."""
    refused = [item for item in items if item.done == "refused"]
    lost = [f"{item.use} ({item.device} in {item.named_in})" for item in refused if not item.now]
    nameless = [f"{item.device} {item.now}" for item in refused if item.now]
    return "; ".join([f"it would leave behind {', '.join(lost)}"] * bool(lost) + nameless)


def told(item: LeftBehind) -> str:
    """What becomes of one name, for a person."""
    became = {
        "rewritten": f"is named {item.now} from here on",
        "taken out": "stays behind and is taken out",
        "noted": item.now or "stays behind, and the system comes up without",
        "refused": item.now or "stays behind, and the system needs it",
    }
    return f"{item.use}: {item.device} ({item.named_in}) {became[item.done]}"


def ways_out(items: tuple[LeftBehind, ...]) -> str:
    """The options that accept all that is refused; empty where nothing does."""
    refused = [item for item in items if item.done == "refused"]
    if any(item.now or item.use in NOTHING_WITHOUT for item in refused):
        return ""
    options = [f"--without {i.use}" for i in refused if i.use.startswith("/")]
    options += ["--karg-delete fips --karg-delete boot" for i in refused if i.use == FIPS]
    return " ".join(dict.fromkeys(options))


class Rule:
    """The rule, held against one system: its names, its root and what the layout carries."""

    def __init__(
        self,
        survey: Survey,
        layout: Layout,
        root: Volume,
        files: tuple[DeviceFile, ...],
        args: Args,
        without: tuple[str, ...] = (),
    ) -> None:
        self._survey = survey
        self._root = root
        self._files = files
        self._args = args
        self._without = without
        self._of_args = boot_devices.mentions(args)
        named = next((m.device for m in self._of_args if m.use == "root"), "")
        self._disk = device_names.disk_of(named)
        self._carried: Carried = carried(survey, layout, root)
        everything = [*(m for file in files for m in file.mentions), *self._of_args]
        # Of several that tell of one mount point the first counts.
        self._mounts = {m.point: m for m in reversed(everything) if m.point}
        self._opened = {m.makes: m for m in everything if m.makes}
        volumes = (lv for group in survey.groups for lv in group.volumes)
        # The groups of logical volumes, also of those whose bytes cannot be told.
        self._groups = {device_names.mapper_name(lv.vg, lv.name): lv.vg for lv in volumes}

    def leaving(self) -> Leaving:
        """Everything that follows; a whole disk leaves nothing and changes nothing."""
        if self._carried.layout == "disk":
            return Leaving(items=tuple(self._of_hardware()), args=self._args)
        items: list[LeftBehind] = []
        changes: list[FileChange] = []
        obstacle = grows = ""
        for file in self._files:
            told, change = self._of_file(file)
            items += told
            if change:
                changes.append(change)
                obstacle = obstacle or file.obstacle
                grows = grows or (file.path if _grows(file, change) else "")
        told, args = self._of_kernel()
        return Leaving(
            items=(*items, *told),
            changes=tuple(changes),
            args=args,
            obstacle=obstacle,
            grows=grows,
        )

    def fate(self, mention: Mention) -> Fate:
        """Whether the device of a mention goes where the base goes."""
        if mention.use == "lvm":
            return self._fate_of_group(mention.device)
        return self._fate_of(mention.device, {mention.point})

    def _fate_of(self, device: str, seen: set[str]) -> Fate:
        """`seen` are the mount points and devices on the way here, each of which is asked once."""
        if len(seen) > WAY_LIMIT:
            return "elsewhere"
        if device.startswith("/") and not device.startswith("/dev/"):
            return self._fate_of_path(device, seen)
        volumes = device_names.named(device, self._survey, self._disk)
        if volumes:
            travels = any(self._carried.has(volume, self._survey) for volume in volumes)
            return "travels" if travels else "left"
        name = device_names.parsed(device)
        if name.kind == "mapped" and name.value in self._groups:
            return self._fate_of_group(self._groups[name.value])
        opened = self._opened.get(name.value if name.kind == "mapped" else device)
        if opened and opened.device not in seen:
            return self._fate_of(opened.device, seen | {opened.device})
        return "none" if name.kind == "none" else "elsewhere"

    def _fate_of_path(self, path: str, seen: set[str]) -> Fate:
        """A file or a folder goes with the filesystem it lies in; in the root it is no device."""
        while path != "/":
            mount = self._mounts.get(path)
            if mount and path not in seen:
                fate = self._fate_of(mount.device, seen | {path})
                return "none" if fate == "travels" else fate
            path = posixpath.dirname(path)
        return "none"

    def _fate_of_group(self, text: str) -> Fate:
        """`VG`, or `VG/LV`: LVM's own names, which the initramfs activates."""
        name = text.partition("/")[0]
        if name in self._carried.groups:
            return "travels"
        return "left" if any(g.name == name for g in self._survey.groups) else "elsewhere"

    def _of_hardware(self) -> Iterator[LeftBehind]:
        """The names on a whole disk that hold only where the node calls its disk the same."""
        for file in self._files:
            if file.kind == "lvm":
                yield msgspec.structs.replace(self._unbound(file)[0][0], done="noted", now=BOUND)
        places = [(m, f"{file.path}:{m.line}") for file in self._files for m in file.mentions]
        places += [(m, f"{KERNEL_ARGUMENT} {m.key}=") for m in self._of_args]
        for mention, named_in in places:
            volumes = device_names.named(mention.device, self._survey, self._disk)
            if volumes and device_names.parsed(mention.device).kind == "partition":
                use = mention.point or mention.use
                yield LeftBehind(
                    device=mention.device, use=use, named_in=named_in, done="noted", now=OF_HARDWARE
                )

    def _of_file(self, file: DeviceFile) -> tuple[list[LeftBehind], FileChange | None]:
        if file.kind == "lvm":
            return self._unbound(file) if self._carried.groups else ([], None)
        mentions = [m for m in file.mentions if not (file.kind == "table" and self._is_told(m))]
        items = []
        devices: dict[int, str | None] = {}
        for mention in mentions:
            item = self._item(mention, f"{file.path}:{mention.line}" if mention.line else file.path)
            if item is None:
                continue
            if item.done == "rewritten" and file.kind == "unit" and mention.use == "swap":
                item = msgspec.structs.replace(item, done="taken out", now="")  # it bears the name
            items.append(item)
            if item.done in ("rewritten", "taken out") and file.kind != "table":
                devices[mention.line] = item.now or None
        point = mentions[0].point if file.kind == "unit" and mentions else ""
        change = FileChange(path=file.path, kind=file.kind, devices=devices, point=point)
        return items, change if devices else None

    def _unbound(self, file: DeviceFile) -> tuple[list[LeftBehind], FileChange | None]:
        """LVM shall look at the disk that the group is on now: its devices file goes out of use."""
        item = LeftBehind(
            device="the disk it was installed on",
            use="lvm",
            named_in=file.path.removesuffix("/lvm.conf") + "/devices/system.devices",
            done="taken out" if file.mentions else "noted",
            now="" if file.mentions else BOUND,
        )
        devices: dict[int, str | None] = {m.line: None for m in file.mentions}
        change = FileChange(path=file.path, kind=file.kind, devices=devices)
        return [item], change if devices else None

    def _of_kernel(self) -> tuple[list[LeftBehind], Args]:
        items = []
        devices: dict[int, str | None] = {}
        for mention in self._of_args:
            item = self._item(mention, f"{KERNEL_ARGUMENT} {mention.key}=")
            if item is not None:
                items.append(item)
                if item.done in ("rewritten", "taken out"):
                    devices[mention.line] = item.now or None
        args = boot_devices.changed(self._args, devices)
        if all(mention.use != "root" for mention in self._of_args):
            item = self._root_of_its_own()
            items.append(item)
            if item.done == "rewritten":
                args = self._with_root(args, item.now)
        return items, args

    def _item(self, mention: Mention, named_in: str) -> LeftBehind | None:
        """What is to be said of a mention; None where it holds."""
        fate = self.fate(mention)
        use = mention.point or (FIPS if mention.use == "fips" else mention.use)
        done: Done | None
        if fate == "travels":
            kept = mention.use == "lvm" or self._carried.keeps(self._kind(mention))
            done = None if kept else "rewritten"
        else:
            done = POLICY[self._group(mention)].get(fate)
        if done is None:
            return None
        if mention.use == "initramfs":
            use, done = "the initramfs", "noted"
            return LeftBehind(
                device=mention.device, use=use, named_in=named_in, done=done, now=BAKED
            )
        now = self._why_elsewhere(mention) if done == "noted" and fate == "elsewhere" else ""
        if done == "rewritten" and mention.use == "log":
            done, now = "refused", IN_AN_OPTION
        elif done == "rewritten":
            volume = self._meant(mention)
            now = f"UUID={volume.uuid}" if volume.uuid else NAMELESS
            done = done if volume.uuid else "refused"
        return LeftBehind(device=mention.device, use=use, named_in=named_in, done=done, now=now)

    def _why_elsewhere(self, mention: Mention) -> str:
        """A name of device-mapper's that nothing here makes may be multipath's, of this disk."""
        name = device_names.parsed(mention.device)
        made = name.kind == "mapped" and name.value in self._opened
        unknown = name.kind in ("mapped", "unknown") and not made
        return OF_ANY_DISK if unknown else ANOTHER_DISK

    def _meant(self, mention: Mention) -> Volume:
        """The volume that is to be named by its own UUID."""
        volumes = device_names.named(mention.device, self._survey, self._disk)
        travelling = [v for v in volumes if self._carried.has(v, self._survey)]
        return self._root if mention.use == "root" or not travelling else travelling[0]

    def _kind(self, mention: Mention) -> device_names.Kind:
        """A name that the system makes anew, by opening what travels, does not die."""
        name = device_names.parsed(mention.device)
        opened = self._opened.get(name.value)
        made = opened is not None and self._fate_of(opened.device, set()) == "travels"
        return "none" if made else name.kind

    def _group(self, mention: Mention) -> Group:
        if mention.use in ("mount", "log"):
            return self._group_of_mount(mention)
        groups: dict[str, Group] = {"root": "root", "fips": "fips", "initramfs": "baked"}
        groups |= {"swap": "swap", "resume": "swap"}
        return groups.get(mention.use, "initramfs")

    def _group_of_mount(self, mention: Mention) -> Group:
        point = mention.point
        if point in self._without:
            return "asked"
        if point in ("/boot", "/efi") or point.startswith("/boot/") or self._is_esp(mention):
            return "boot"
        return "optional" if mention.optional else "needed"

    def _is_esp(self, mention: Mention) -> bool:
        volumes = device_names.named(mention.device, self._survey, self._disk)
        return any(is_system_partition(self._survey, volume.device) for volume in volumes)

    def _is_told(self, by_type: Mention) -> bool:
        """Whether something else says what is mounted there; that goes before the table."""
        return self._mounts.get(by_type.point, by_type) != by_type

    def _root_of_its_own(self) -> LeftBehind:
        """No argument names the root, and by its partition's type it is not found any more."""
        uuid = self._root.uuid
        return LeftBehind(
            device=self._root.device,
            use="root",
            named_in="no kernel argument root=",
            done="rewritten" if uuid else "refused",
            now=f"UUID={uuid}" if uuid else NAMELESS,
        )

    def _with_root(self, args: Args, device: str) -> Args:
        """`args` with a root, writable where nobody says otherwise: so it was mounted by type."""
        by_type = next((a for a in args if kargs.halves(a)[1] in boot_devices.FOUND_BY_TYPE), None)
        if by_type is not None and kargs.key(by_type) == "root":
            args = kargs.delete(args, by_type)
        args = kargs.append(args, f"root={device}")
        mode = {"ro", "rw"} & set(kargs.kernels_own(args))
        return args if mode else kargs.append(args, "rw")


def _grows(file: DeviceFile, change: FileChange) -> bool:
    """Whether a changed file cannot keep its length."""
    by_line = {mention.line: mention for mention in reversed(file.mentions)}  # a line's own first
    growth = 0
    for line, device in change.devices.items():
        mention = by_line[line]
        if device is not None:
            growth += max(0, len(device) - len(mention.device))
        elif file.kind == "unit":
            growth += mount_units.quiet_bytes(change.point) - file.size_bytes
        else:
            growth -= mention.line_bytes - 1
    return growth > file.spare_bytes
