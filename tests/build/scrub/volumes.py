"""Systems over several volumes of one disk, with secrets in each; made by the filesystems' tools.

A layout says of each volume what it is (a partition, a logical volume, a subvolume), by which name
the system calls it, and where that name stands. Secrets lie where the running system shows them,
and once more in the root volume, where the mounts hide them.
"""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from bakery.host.run import run
from bakery.image.mentions import MOUNTED_BY_TYPE
from bakery.samples import assemble
from bakery.samples.lvm import EXTENT_BYTES, NOT_ACTIVE, PE_START_BYTES, call
from bakery.samples.mounts import loop_device, mounted, private_mounts
from bakery.system import mount_units
from tests.build.scrub import planted
from tests.build.scrub.planted import Secret

MIB = 1 << 20
LINUX, LVM = "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "E6D6D379-F507-44C2-A23C-238F2A3DF928"
ESP, SWAP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
TYPES = {point: guid for guid, point in reversed(MOUNTED_BY_TYPE.items())} | {"/boot/efi": ESP}
Kind = Literal["ext4", "xfs", "btrfs", "vfat"]
Where = Literal["partition", "lv", "subvolume"]
Said = Literal["fstab", "unit", "drop-in", "argument", "type"]
SIZES_MIB = {"ext4": 48, "xfs": 320, "btrfs": 160, "vfat": 40}
GROUP = "vg-0"
# Of programs and of people: in passwd, in a folder of their domain, on a volume of their own.
HOMES = ("/root", "/home/ana", "/home/example.org/bea", "/data/people/emil", "/srv/web")
HIDDEN_HOME = "/home/before"
PASSWD = """root:x:0:0::/root:/bin/bash
web:x:33:33::/srv/web:/usr/sbin/nologin
ana:x:1000:1000::/home/ana:/bin/bash
emil:x:1001:1001::/data/people/emil:/bin/bash
"""
OF_PARTITIONS = (
    "UUID", "LABEL", "PARTUUID", "PARTLABEL", "by-uuid", "by-label", "by-partuuid", "by-partlabel",
    "by-path", "sda", "vda", "nvme", "mmcblk", "partnroff",
)  # fmt: skip
OF_GROUPS = ("UUID", "LABEL", "by-uuid", "by-label", "mapper", "lvm", "dm-name")
OF_FILESYSTEMS = ("UUID", "LABEL", "by-uuid", "by-label")


@dataclass(frozen=True)
class Volume:
    """A volume of a layout; `name` is the form of its name, `said` where the name stands."""

    point: str
    kind: Kind = "ext4"
    where: Where = "partition"
    name: str = "UUID"
    said: Said = "fstab"
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    partuuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def label(self) -> str:
        """Its label, and what its partition, its logical volume or its subvolume is called.

        XFS takes 12 bytes.
        """
        return f"v{self.point.replace('/', '-')}"[:12]


@dataclass(frozen=True)
class Planted:
    """A secret, and where it is: a volume by the name that a survey gives it, a path in it."""

    secret: Secret
    device: str
    path: str


@dataclass
class Made:
    """A disk, what was planted in it, and the marks of what was deleted again, or swapped out."""

    image: Path
    planted: list[Planted]
    lost: list[bytes]


@dataclass(frozen=True)
class Share:
    """Every so manyth of all secrets, from that one on."""

    first: int = 0
    step: int = 1


ALL = Share()


def make(folder: Path, volumes: tuple[Volume, ...], share: Share = ALL) -> Made:
    """The disk of a layout, `disk.raw` in `folder`; the first volume is the root."""
    disk = _Disk(folder, volumes, share)
    with private_mounts():
        disk.write()
    return Made(disk.path, disk.planted, disk.lost)


class _Disk:
    def __init__(self, folder: Path, volumes: tuple[Volume, ...], share: Share) -> None:
        self.share = share
        self.path = folder / "disk.raw"
        self.folder = folder
        self.volumes = volumes
        self.root = volumes[0]
        self.planted: list[Planted] = []
        self.lost: list[bytes] = []
        self.trees = {v.point: folder / f"tree{v.label}" for v in volumes}
        # What becomes a partition: each volume, or the first of those that share one.
        whole = {v.where: v for v in reversed(volumes)}
        self.partitions = [v for v in volumes if v.where == "partition" or whole[v.where] is v]

    def write(self) -> None:
        self._fill()
        starts = self._table()
        for volume, start in zip(self.partitions, starts, strict=False):
            if volume.where == "partition":
                made = self._filesystem(volume, self.trees[volume.point])
                assemble.copy_into(made, self.path, [(start, made.stat().st_size)])
            elif volume.where == "lv":
                self._group(start)
            else:
                made = self._subvolumes(volume)
                assemble.copy_into(made, self.path, [(start, made.stat().st_size)])
        mark = planted.deleted()[0].mark
        self.lost.append(mark)
        with self.path.open("r+b") as file:
            file.seek(starts[-1])
            file.write(
                subprocess.run(["cat", self._swap()], capture_output=True, check=True).stdout
            )
            file.seek(starts[-1] + MIB)
            file.write(planted.MARK + mark)

    def number(self, volume: Volume) -> int:
        shared = volume.where != "partition"
        of_it = (v for v in self.partitions if v is volume or (shared and v.where == volume.where))
        return self.partitions.index(next(of_it)) + 1

    def device(self, volume: Volume) -> str:
        """What a survey calls it."""
        if volume.where == "lv":
            return f"/dev/{GROUP}/{volume.label}"
        part = f"/dev/sda{self.number(volume)}"
        return f"{part}[/{volume.label}]" if volume.where == "subvolume" else part

    def named(self, volume: Volume) -> str:
        """What the system calls it."""
        number = self.number(volume)
        identity = self._of_filesystem(volume)
        mapper = f"{GROUP.replace('-', '--')}-{volume.label.replace('-', '--')}"
        forms = {
            "UUID": f"UUID={identity.uuid}",
            "LABEL": f"LABEL={identity.label}",
            "PARTUUID": f"PARTUUID={volume.partuuid}",
            "PARTLABEL": f"PARTLABEL={volume.label}",
            "by-uuid": f"/dev/disk/by-uuid/{identity.uuid}",
            "by-label": f"/dev/disk/by-label/{identity.label}",
            "by-partuuid": f"/dev/disk/by-partuuid/{volume.partuuid}",
            "by-partlabel": f"/dev/disk/by-partlabel/{volume.label}",
            "by-path": f"/dev/disk/by-path/pci-0000:00:04.0-part{number}",
            "sda": f"/dev/sda{number}",
            "vda": f"/dev/vda{number}",
            "nvme": f"/dev/nvme0n1p{number}",
            "mmcblk": f"/dev/mmcblk0p{number}",
            "partnroff": f"PARTUUID={self.partitions[0].partuuid}/PARTNROFF={number - 1}",
            "mapper": f"/dev/mapper/{mapper}",
            "lvm": f"/dev/{GROUP}/{volume.label}",
            "dm-name": f"/dev/disk/by-id/dm-name-{mapper}",
        }
        return forms[volume.name]

    def _of_filesystem(self, volume: Volume) -> Volume:
        """Subvolumes share the name of what they are in."""
        if volume.where != "subvolume":
            return volume
        return next(v for v in self.partitions if v.where == "subvolume")

    def _fill(self) -> None:
        for tree in self.trees.values():
            tree.mkdir()
        for name, text in self._files():
            path = self.trees[self.root.point] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        efi = any(v.point == "/boot/efi" for v in self.volumes)
        shown = planted.secrets(HOMES, ("/boot/loader/", "/efi/") + ("/boot/efi/",) * (not efi))
        places = [(secret, self._volume_of(secret.path)) for secret in shown]
        hidden = planted.secrets((HIDDEN_HOME,), ("/boot/", "/efi/"))
        places += [(s, self.root) for s in hidden if self._volume_of(s.path) is not self.root]
        for number, place in enumerate(places[self.share.first :: self.share.step]):
            self._plant(*place, number)

    def _plant(self, secret: Secret, volume: Volume, number: int) -> None:
        path = secret.path if volume is self.root else secret.path.removeprefix(volume.point)
        file = self.trees[volume.point] / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(planted.content(secret, number))
        self.planted.append(Planted(secret, self.device(volume), path))

    def _volume_of(self, path: str) -> Volume:
        over = (v for v in self.volumes if f"{path}/".startswith(f"{v.point}/"))
        return max(over, key=lambda volume: len(volume.point))

    def _files(self) -> Iterator[tuple[str, str]]:
        """What the system says of itself, in its root volume."""
        yield "etc/os-release", 'ID=lab\nPRETTY_NAME="Lab"\n'
        yield "etc/passwd", PASSWD
        yield "usr/bin/true", ""
        lines = [f"UUID={self._of_filesystem(self.root).uuid} / {self.root.kind} defaults 0 1\n"]
        args = [f"root=UUID={self._of_filesystem(self.root).uuid}"]
        if self.root.where == "subvolume":
            args.append(f"rootflags=subvol={self.root.label}")
        for volume in self.volumes[1:]:
            options = f"subvol=/{volume.label}" if volume.where == "subvolume" else "defaults"
            name, unit = self.named(volume), mount_units.name_of(volume.point)
            text = f"[Mount]\nWhat={name}\nWhere={volume.point}\nOptions={options}\n"
            if volume.said == "fstab":
                lines.append(f"{name} {volume.point} {volume.kind} {options} 0 2\n")
            elif volume.said == "unit":
                yield f"etc/systemd/system/{unit}", text
            elif volume.said == "drop-in":
                yield (
                    f"etc/systemd/system/{unit}",
                    f"[Mount]\nWhat=/dev/gone\nWhere={volume.point}\n",
                )
                yield f"etc/systemd/system/{unit}.d/a.conf", text
            elif volume.said == "argument":
                args.append(f"systemd.mount-extra={name}:{volume.point}:{volume.kind}:{options}")
        yield "etc/fstab", "".join(lines)
        yield "boot/vmlinuz", "kernel"
        yield "boot/initrd", "initrd"
        entry = "title Lab\nversion 1\nlinux /boot/vmlinuz\ninitrd /boot/initrd\noptions "
        yield "boot/loader/entries/lab.conf", entry + " ".join(args) + "\n"

    def _table(self) -> list[int]:
        """Make the disk with its table; where each partition starts, a swap's behind the others."""
        start, starts, lines = MIB, [], ["label: gpt"]
        for volume in self.partitions:
            kind = TYPES[volume.point] if volume.said == "type" or volume.kind == "vfat" else LINUX
            kind = LVM if volume.where == "lv" else kind
            size = self._size(volume)
            words = f"start={start // 512}, size={size // 512}, type={kind}"
            lines.append(f"{words}, uuid={volume.partuuid}, name={volume.label}")
            starts.append(start)
            start += size
        lines.append(f"start={start // 512}, size={4 * MIB // 512}, type={SWAP}")
        assemble.make_sparse(self.path, start + 6 * MIB)
        run(["sfdisk", "-q", self.path], stdin="\n".join(lines).encode())
        return [*starts, start]

    def _size(self, volume: Volume) -> int:
        if volume.where != "lv":
            return SIZES_MIB[volume.kind] * MIB
        held = (SIZES_MIB[v.kind] * MIB for v in self.volumes if v.where == "lv")
        return PE_START_BYTES + sum(held) + 2 * EXTENT_BYTES

    def _filesystem(self, volume: Volume, tree: Path) -> Path:
        """A filesystem with these files in it, one of which was deleted again."""
        lost = planted.deleted()[0]
        self.lost.append(lost.mark)
        gone = tree / "gone"
        path = self.folder / f"fs{volume.label}"
        assemble.make_sparse(path, SIZES_MIB[volume.kind] * MIB)
        if volume.kind == "vfat":
            run(["mkfs.vfat", "-F", "32", "-n", volume.label[:11].upper(), path])
            run(["mcopy", "-s", "-i", path, *sorted(tree.iterdir()), "::"])
            self.lost.pop()
            return path
        gone.write_bytes((planted.MARK + lost.mark + b"\n") * 300)
        if volume.kind == "ext4":
            run(["mkfs.ext4", "-q", "-U", volume.uuid, "-L", volume.label, "-d", tree, path])
            run(["debugfs", "-w", "-R", "rm gone", path])
            return path
        assert volume.kind == "xfs"
        run(["mkfs.xfs", "-q", "-m", f"uuid={volume.uuid}", "-L", volume.label, path])
        with mounted(path, self.folder / "mnt") as top:
            _copy(tree, top)
            (top / "gone").unlink()
        return path

    def _group(self, start: int) -> None:
        """The volume group, and its volumes one behind the other."""
        held = [v for v in self.volumes if v.where == "lv"]
        size = self._size(held[0])
        with loop_device(self.path, start, size) as device:
            lvm = partial(call, self.folder, [device])
            lvm("pvcreate", "--dataalignment", f"{PE_START_BYTES}b", device)
            lvm("vgcreate", "--physicalextentsize", f"{EXTENT_BYTES}b", GROUP, device)
            for volume in held:
                count = SIZES_MIB[volume.kind] * MIB // EXTENT_BYTES
                lvm("lvcreate", *NOT_ACTIVE, f"-l{count}", "--name", volume.label, GROUP)
        offset = start + PE_START_BYTES
        for volume in held:
            made = self._filesystem(volume, self.trees[volume.point])
            assemble.copy_into(made, self.path, [(offset, made.stat().st_size)])
            offset += made.stat().st_size

    def _subvolumes(self, first: Volume) -> Path:
        path = self.folder / "btrfs"
        assemble.make_sparse(path, SIZES_MIB["btrfs"] * MIB)
        run(["mkfs.btrfs", "-q", "-M", "-U", first.uuid, "-L", first.label, path])
        with mounted(path, self.folder / "mnt") as top:
            for volume in (v for v in self.volumes if v.where == "subvolume"):
                run(["btrfs", "subvolume", "create", top / volume.label])
                _copy(self.trees[volume.point], top / volume.label)
        return path

    def _swap(self) -> Path:
        path = self.folder / "swap"
        assemble.make_sparse(path, 4 * MIB)
        run(["mkswap", "-q", path])
        return path


def _copy(tree: Path, top: Path) -> None:
    shutil.copytree(tree, top, dirs_exist_ok=True)
    run(["sync", "-f", top])
