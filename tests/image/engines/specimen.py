"""A disk made to be asked about: every kind of volume, and every kind of name and link.

The partition table is sfdisk's, the rest is made by guestfish from one tar archive, so that each
filesystem holds the same tree, with owners, modes, times, labels, links, a pipe and a device.
What is in the tree stands in the tables below: they are the truth the engines are held to.
"""

import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from bakery.disk.volumes.volumes import Subvolume
from bakery.host import run

MIB = 1 << 20
# Where the clock ticks slowly qemu-img may find that a key was made in no time, and give up.
LUKS_TRIES = 20
FSTAB = b"# static\nUUID=1-2  /boot  ext4  defaults  1 2\n/dev/x / xfs defaults 0 0\n"
KERNEL = bytes(range(256)) * 8192  # 2 MiB, more than one message of libguestfs' protocol

FILES: dict[str, bytes] = {
    "etc/fstab": FSTAB,
    "etc/empty": b"",
    "etc/no newline": b"a",
    "boot/vmlinuz": KERNEL,
    "dev/sda1": b"a plain file, whatever its name\n",
    "odd/two  spaces": b"1",
    "odd/'single' \"double\" \\back": b"2",
    "odd/$HOME `id` |cat ;!id": b"3",
    "odd/-dash": b"4",
    "odd/~tilde": b"5",
    "odd/käse ☃": b"6",
    "odd/*": b"7",
    "odd/format:raw": b"8",
    "odd/" + "long" * 50: b"9",
}
LINKS = {
    "links/relative": "../etc/fstab",
    "links/absolute": "/etc/fstab",
    "links/above": "../../../../../../etc/fstab",
    "links/chain": "absolute",
    "links/directory": "/etc",
    "links/dangling": "/etc/nothing",
    "links/loop": "loop",
    "links/host": "/proc/self/environ",
}
DIRECTORIES = ("boot", "dev", "etc", "links", "odd", "hollow")
HARD_LINK = ("links/hard", "etc/fstab")
PIPE = "odd/pipe"
DEVICE = "odd/device"
MODE = 0o640
OWNER = (12, 34)
MODIFIED = "1388631845.678901234"
XATTRS = {"security.selinux": "system_u:object_r:etc_t:s0", "user.note": "kept"}


@dataclass(frozen=True)
class Filesystem:
    """One filesystem of the specimen: how it is made, and what must be told of it."""

    device: str
    type: str
    label: str


# Number, type and size (MiB) of each partition, as sfdisk is told.
TABLE = """label: dos
label-id: 0x5eed0001
start=2048, size=64MiB, type=83, bootable
size=400MiB, type=8e
type=5
size=128MiB, type=83
size=8MiB, type=82
size=4MiB, type=83
size=4MiB, type=83
"""
BOOT = Filesystem("/dev/sda1", "ext4", "boot fs")
ROOT = Filesystem("/dev/vg-a/ro-ot", "xfs", "root")
DATA = Filesystem("/dev/sda5", "btrfs", "data")
FILESYSTEMS = (BOOT, ROOT, DATA)
# The same tree once more, in a subvolume that is not the default; in it another, and a snapshot
# of it beside it, which is the default.
SYSTEM = Subvolume(256, "sys tem")
SUBVOLUMES = (
    SYSTEM,
    Subvolume(257, "sys tem/nested"),
    Subvolume(258, "snap", is_default=True),
)
TREES = (*(filesystem.device for filesystem in FILESYSTEMS), f"{DATA.device}[/{SYSTEM.path}]")
"""The names of what holds the tree."""
NESTED_TEXT = b"in a subvolume of a subvolume"
SWAP, LUKS, NOTHING = "/dev/sda6", "/dev/sda7", "/dev/sda8"
PV = "/dev/sda2"
# An unused hole lies between the two segments of the root volume.
COMMANDS = f"""
run
pvcreate {PV}
vgcreate vg-a {PV}
lvcreate ro-ot vg-a 304
mkfs ext4 {BOOT.device} "label:{BOOT.label}"
mkfs xfs {ROOT.device} label:{ROOT.label}
mkfs btrfs {DATA.device} label:{DATA.label}
mkswap {SWAP}
"""


IN_SUBVOLUMES = f"""
mount-options compress-force=zstd {DATA.device} /
btrfs-subvolume-create "/sys tem"
tar-in TREE "/sys tem" xattrs:true
btrfs-subvolume-create "/sys tem/nested"
write "/sys tem/nested/inside" "{NESTED_TEXT.decode()}"
btrfs-subvolume-snapshot "/sys tem" /snap
btrfs-subvolume-set-default {SUBVOLUMES[-1].id} /
umount-all
"""


def make(folder: Path, environment: dict[str, str]) -> Path:
    """Make the specimen in `folder` with an appliance started in `environment`; a raw file."""
    disk = folder / "specimen.raw"
    with disk.open("wb") as file:
        file.truncate(640 * MIB)
    subprocess.run(["sfdisk", "-q", disk], input=TABLE.encode(), check=True)
    tree = folder / "tree.tar"
    tree.write_bytes(archive())
    script = f"add-drive {disk} format:raw\n{COMMANDS}"
    for filesystem in FILESYSTEMS:
        script += f"mount {filesystem.device} /\ntar-in {tree} / xattrs:true\numount-all\n"
    script += IN_SUBVOLUMES.replace("TREE", str(tree))
    script += "shutdown\n"
    run.run(["guestfish"], stdin=script.encode(), env=environment, timeout=900)
    tree.unlink()
    _encrypt(disk, folder)
    return disk


def table(disk: Path) -> list[dict[str, object]]:
    """The partitions as sfdisk reads them from the raw disk."""
    done = subprocess.run(["sfdisk", "--json", disk], capture_output=True, check=True)
    partitions: list[dict[str, object]] = json.loads(done.stdout)["partitiontable"]["partitions"]
    return partitions


def archive() -> bytes:
    """The tree as a tar archive (pax headers, extended attributes as SCHILY.xattr)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in DIRECTORIES:
            tar.addfile(_member(name, tarfile.DIRTYPE, mode=0o755))
        for name, data in FILES.items():
            tar.addfile(_file(name, data), io.BytesIO(data))
        for name, target in LINKS.items():
            tar.addfile(_member(name, tarfile.SYMTYPE, linkname=target))
        tar.addfile(_member(HARD_LINK[0], tarfile.LNKTYPE, linkname=HARD_LINK[1]))
        tar.addfile(_member(PIPE, tarfile.FIFOTYPE))
        tar.addfile(_member(DEVICE, tarfile.BLKTYPE, devmajor=8, devminor=0))
    return buffer.getvalue()


def _file(name: str, data: bytes) -> tarfile.TarInfo:
    member = _member(name, tarfile.REGTYPE, size=len(data), mode=MODE)
    member.uid, member.gid = OWNER
    member.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in XATTRS.items()}
    member.pax_headers["mtime"] = MODIFIED
    return member


def _member(name: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


def _encrypt(disk: Path, folder: Path) -> None:
    """Put a real LUKS header, which needs no privilege to make, into its partition."""
    header = folder / "luks"
    secret = "secret,id=key,data=known"
    options = "key-secret=key,iter-time=10,hash-alg=sha512"
    argv = ["qemu-img", "create", "-q", "--object", secret, "-f", "luks", "-o", options]
    for _ in range(LUKS_TRIES):
        if subprocess.run([*argv, header, "1M"], check=False).returncode == 0:
            break
    found = next(p for p in table(disk) if str(p["node"]).endswith(LUKS[-1]))
    with disk.open("r+b") as file:
        file.seek(int(str(found["start"])) * 512)
        file.write(header.read_bytes())
    header.unlink()
