"""The sample images there are: one record each, nothing but data.

Each variant is a shape of image met in the wild that makes some part of bakery decide
differently. All share one operating system tree and one initramfs.
"""

from dataclasses import dataclass, field
from typing import Literal

from bakery.host.errors import UsageError

GIB = 1 << 30
MIB = 1 << 20

# What the Fedora Atomic cloud image of 2014 passes to its kernel, in this order, before root=.
CONSOLE_ARGS = ("nofb", "nomodeset", "vga=normal", "console=ttyS0", "no_timer_check")

Firmware = Literal["bios", "uefi"]
Architecture = Literal["x86_64", "aarch64"]
RootFilesystem = Literal["xfs", "ext4", "btrfs"]
Compression = Literal["zlib", "zstd"]


@dataclass(frozen=True)
class LogicalVolume:
    """Where the root filesystem lies in LVM.

    `segments` are (first, count) in physical extents of 4 MiB, in the volume's own order.
    """

    vg: str
    lv: str
    segments: tuple[tuple[int, int], ...] = ((0, 768),)

    @property
    def extents(self) -> int:
        """The volume's size in physical extents."""
        return sum(count for _, count in self.segments)

    @property
    def device(self) -> str:
        """Its device-mapper node: hyphens in either name are doubled (libdm, dm_build_dm_name)."""
        return "/dev/mapper/{}-{}".format(self.vg.replace("-", "--"), self.lv.replace("-", "--"))


@dataclass(frozen=True)
class Variant:
    """One sample image. `stateroot` is None for a system without OSTree.

    `architecture` decides which layer it is made of, and has no part in the image's key.
    """

    name: str
    about: str
    stateroot: str | None = "fedora-atomic"
    deployments: int = 1
    firmware: Firmware = "bios"
    root_filesystem: RootFilesystem = "xfs"
    lvm: LogicalVolume | None = LogicalVolume("atomicos", "root")
    fstab_boot: bool = True
    fstab_extra: tuple[str, ...] = ()
    var_directories: tuple[str, ...] = ()
    compression: Compression = "zlib"
    disk_bytes: int = 6 * GIB
    architecture: Architecture = field(default="x86_64", repr=False)

    @property
    def boot_partition(self) -> bool:
        """Whether /boot is a filesystem of its own."""
        return self.stateroot is not None


BOOT_WORDS = (
    "# the boot partition is not in the backup; /boot comes back with the image",
    "tmpfs /var/lib/tftpboot tmpfs size=16m,mode=0755 0 0",
    "LABEL=bootstrap /var/lib/bootstrap ext4 noauto,nofail 0 0",
    "/var/lib/tftpboot /var/srv/boot none bind,nofail,x-systemd.requires=/var/lib/tftpboot 0 0",
    "#UUID=00000000-0000-0000-0000-000000000000 /boot ext3 defaults 1 2",
)

VARIANTS = (
    Variant("default", "Fedora Atomic's cloud image of 2014: MBR, ext4 /boot, LVM, xfs root"),
    Variant("two-deployments", "an upgrade and its rollback: two BLS entries", deployments=2),
    Variant("uefi-gpt", "GPT with an EFI system partition, started by UEFI", firmware="uefi"),
    Variant("btrfs-nolvm", "btrfs root directly on a partition", root_filesystem="btrfs", lvm=None),
    Variant("ext4-nolvm", "ext4 root directly on a partition", root_filesystem="ext4", lvm=None),
    Variant(
        "othernames",
        "hyphens in VG and LV, another stateroot, zstd clusters",
        stateroot="centos-atomic-host",
        lvm=LogicalVolume("cah-vg0", "sys-root"),
        compression="zstd",
    ),
    Variant(
        "split-lv",
        "a root volume in two segments with a hole between them",
        lvm=LogicalVolume("atomicos", "root", ((0, 300), (400, 468))),
    ),
    Variant("no-boot-line", "an fstab that does not mention /boot", fstab_boot=False),
    Variant(
        "boot-words",
        "fstab lines that say boot and are not the /boot mount",
        fstab_extra=BOOT_WORDS,
        var_directories=("lib/tftpboot", "lib/bootstrap", "srv/boot"),
    ),
    # One partition, as Debian's installer and its cloud images do by default: the only sample
    # whose /boot is a directory of the root filesystem.
    Variant(
        "plain",
        "ordinary Debian with GRUB, no OSTree, /boot inside the root filesystem",
        stateroot=None,
        root_filesystem="ext4",
        lvm=None,
    ),
    # Made on any machine, booted by an emulated processor: packages are unpacked and no more.
    Variant(
        "arm64",
        "Debian for arm64, started by UEFI, /boot inside the root filesystem",
        stateroot=None,
        firmware="uefi",
        root_filesystem="ext4",
        lvm=None,
        disk_bytes=3 * GIB,
        architecture="aarch64",
    ),
)


def find(name: str) -> Variant:
    """The variant of that name."""
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    known = ", ".join(variant.name for variant in VARIANTS)
    raise UsageError(f"there is no sample image '{name}'", f"known variants: {known}")
