"""The programs bakery calls, the packages that bring them, and what each is for."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Debian leaves the sbin folders out of an ordinary user's PATH; sfdisk and blkid live there.
SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True)
class Tool:
    """One program: the package that holds it on Debian and on Fedora, and why bakery calls it."""

    program: str
    deb: str
    rpm: str
    why: str


TOOLS = (
    Tool("qemu-img", "qemu-utils", "qemu-img", "reads all image formats, copies the base"),
    Tool(
        "qemu-storage-daemon",
        "qemu-system-common",
        "qemu-kvm-core",
        "shows an image as a plain file (direct engine)",
    ),
    Tool("qemu-nbd", "qemu-utils", "qemu-img", "reaches a node's disk over iSCSI (deploy)"),
    Tool("sfdisk", "fdisk", "util-linux", "reads partition tables"),
    Tool("blkid", "util-linux", "util-linux", "recognises filesystems"),
    Tool(
        "grub-fstest",
        "grub-common",
        "grub2-tools-extra",
        "reads files inside an image without mounting it (direct engine)",
    ),
    Tool("bwrap", "bubblewrap", "bubblewrap", "confines what parses images and nodes' answers"),
    Tool("prlimit", "util-linux", "util-linux", "limits memory and time of those programs"),
    Tool("setpriv", "util-linux", "util-linux", "ends a program when bakery itself is killed"),
    Tool("timeout", "coreutils", "coreutils", "ends a program with everything it started"),
    Tool(
        "guestfish",
        "libguestfs-tools",
        "guestfs-tools",
        "reads and edits any filesystem in an appliance VM (guestfs engine)",
    ),
    Tool(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "qemu-system-x86-core",
        "boots what was built (prove)",
    ),
    Tool(
        "qemu-system-aarch64",
        "qemu-system-arm",
        "qemu-system-aarch64-core",
        "boots what was built for arm64 (prove)",
    ),
    Tool("ssh", "openssh-client", "openssh-clients", "runs a command in a guest (prove --key)"),
    Tool("rpm", "rpm", "rpm", "reads an image's rpm database (build --sbom)"),
    *(
        Tool(program, "age", "age", "seals and opens recovery archives (scrub, restore)")
        for program in ("age", "age-keygen")
    ),
    Tool("fusermount3", "fuse3", "fuse3", "mounts the view where there is no cage (direct engine)"),
    *(
        Tool(program, "e2fsprogs", "e2fsprogs", "edits ext4 without an appliance (scrub)")
        for program in ("debugfs", "dumpe2fs", "e2fsck")
    ),
    *(
        Tool(program, deb, rpm, "makes the sample image (lab image)")
        for program, deb, rpm in (
            ("debootstrap", "debootstrap", "debootstrap"),
            ("depmod", "kmod", "kmod"),
            ("grub-mkimage", "grub-common", "grub2-tools"),
            ("losetup", "util-linux", "util-linux"),
            ("lvcreate", "lvm2", "lvm2"),
            ("mcopy", "mtools", "mtools"),
            ("mformat", "mtools", "mtools"),
            ("mmd", "mtools", "mtools"),
            ("mkfs.btrfs", "btrfs-progs", "btrfs-progs"),
            ("mkfs.ext4", "e2fsprogs", "e2fsprogs"),
            ("mkfs.vfat", "dosfstools", "dosfstools"),
            ("mkfs.xfs", "xfsprogs", "xfsprogs"),
            ("openssl", "openssl", "openssl"),
            ("ostree", "ostree", "ostree"),
        )
    ),
    Tool("ip", "iproute2", "iproute", "makes the lab's network (lab up)"),
    Tool("nsenter", "util-linux", "util-linux-core", "enters the lab's network (lab up)"),
    Tool("unshare", "util-linux", "util-linux-core", "isolates the lab's network (lab up)"),
    Tool("busybox", "busybox-static", "busybox", "the deploy ramdisk's shell (ramdisk)"),
    Tool("ldd", "libc-bin", "glibc-common", "finds the libraries of its programs (ramdisk)"),
    Tool("tgtadm", "tgt", "scsi-target-utils", "configures tgtd in the deploy ramdisk (ramdisk)"),
    Tool("tgtd", "tgt", "scsi-target-utils", "exports a node's disk over iSCSI (ramdisk)"),
    Tool("zstd", "zstd", "zstd", "compresses the deploy ramdisk (ramdisk)"),
    Tool("udp-receiver", "udpcast", "udpcast", "receives an image sent to many nodes (ramdisk)"),
    Tool("udp-sender", "udpcast", "udpcast", "sends one image to many nodes at once (deploy)"),
)


def search_path() -> str:
    """PATH as bakery's children see it: the caller's own, then the system folders."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([p for p in own if p] + list(SYSTEM_PATHS)))


def find(program: str) -> Path | None:
    """Where `program` is on this machine, or None."""
    found = shutil.which(program, path=search_path())
    return Path(found) if found else None


def missing(programs: Iterable[str]) -> list[str]:
    """Those of `programs` that are not on this machine."""
    return [p for p in programs if find(p) is None]


def install_hint(programs: Iterable[str]) -> str:
    """The line that installs `programs` with this machine's own package manager."""
    wanted = set(programs)
    lacking = [tool for tool in TOOLS if tool.program in wanted]
    if not lacking:
        return ""
    if has_dnf_alone():
        return "sudo dnf install " + " ".join(sorted({tool.rpm for tool in lacking}))
    return "sudo apt-get install " + " ".join(sorted({tool.deb for tool in lacking}))


def has_dnf_alone() -> bool:
    """Whether this machine's packages are Fedora's."""
    return bool(find("dnf")) and not find("apt-get")
