"""What others' layouts become: the table that the tests go by, and that docs/images.md shows."""

from dataclasses import dataclass

from bakery.manifest.manifest import Layout


@dataclass(frozen=True)
class Proved:
    """It is built, and what is built boots to a login; a whole disk by each `firmware`."""

    firmware: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"proved ({', '.join(self.firmware)})" if self.firmware else "proved"


@dataclass(frozen=True)
class Refused:
    """It is refused, with a reason that has each of these words: what would have been missing.

    Where each may be left behind by name (`--without`), what is built so boots.
    """

    words: tuple[str, ...]
    proved_without: bool = False

    def __str__(self) -> str:
        way_out = "; proved --without them" if self.proved_without else ""
        return f"refused: {', '.join(self.words)}{way_out}"


Outcome = Proved | Refused
NO_LVM = Refused(("not on LVM",))
BIOS, UEFI = Proved(("bios",)), Proved(("uefi",))


@dataclass(frozen=True)
class System:
    """An image: whose layout it is, what lies in it, what each of bakery's layouts makes of it."""

    about: str
    table: str
    loader: str
    root: str
    lv: Outcome
    disk: Outcome
    pv: Outcome = NO_LVM
    architecture: str = "x86_64"
    builder: str = ""
    """The Debian package whose program makes it; empty where tests/real/layouts.py does."""

    @property
    def outcomes(self) -> dict[Layout, Outcome]:
        """What is expected of each of bakery's layouts."""
        return {"pv": self.pv, "lv": self.lv, "disk": self.disk}


SYSTEMS = {
    "partuuid-cloud": System(
        "the cloud images of Debian and Ubuntu, the root and all else by PARTUUID",
        *("GPT", "GRUB", "ext4"),
        lv=Proved(),
        disk=Proved(("bios", "uefi")),
    ),
    "own-var-home-swap": System(
        "Debian's installer, /var and /home and swap apart",
        *("MBR", "GRUB", "ext4"),
        lv=Refused(("/var", "/home"), proved_without=True),
        disk=BIOS,
    ),
    "own-usr": System(
        "/usr on a partition of its own",
        *("MBR", "GRUB", "ext4"),
        lv=Refused(("/usr",)),
        disk=BIOS,
    ),
    "debian-rootfs": System(
        "Debian's installer on btrfs, all in the subvolume @rootfs",
        *("MBR", "GRUB", "btrfs"),
        lv=Proved(),
        disk=BIOS,
    ),
    "default-subvolume": System(
        "openSUSE, the root being btrfs's default subvolume, a snapshot",
        *("GPT", "GRUB", "btrfs"),
        lv=Proved(),
        disk=BIOS,
    ),
    "fedora-btrfs": System(
        "Fedora, the subvolumes root, home and var beside an ext4 /boot",
        *("GPT", "GRUB, BLS", "btrfs"),
        lv=Proved(),
        disk=UEFI,
    ),
    "gpt-auto": System(
        "mkosi, no root= at all: systemd finds the root by its partition's type",
        *("GPT", "systemd-boot, BLS", "ext4"),
        lv=Proved(),
        disk=UEFI,
    ),
    "gpt-auto-btrfs": System(
        "mkosi on btrfs, /home and /var being subvolumes",
        *("GPT", "systemd-boot, BLS", "btrfs"),
        lv=Proved(),
        disk=UEFI,
    ),
    "unified-kernel": System(
        "mkosi with a unified kernel image, no root=",
        *("GPT", "systemd-boot, UKI", "ext4"),
        lv=Proved(),
        disk=UEFI,
    ),
    "two-pv-group": System(
        "a cloud disk that was grown, the volume group on two of its partitions",
        *("MBR", "GRUB", "ext4 on LVM"),
        pv=Refused(("several partitions", "2, 3")),
        lv=Proved(),
        disk=BIOS,
    ),
    "big-sectors": System(
        "a disk with sectors of 4096 bytes",
        *("GPT, 4096-byte sectors", "GRUB", "ext4"),
        lv=Proved(),
        disk=UEFI,
    ),
    "extlinux": System(
        "extlinux in front of one ext4",
        *("MBR", "extlinux", "ext4"),
        lv=Proved(),
        disk=BIOS,
    ),
    "fai-diskimage": System(
        "fai-diskimage, its documentation's classes for a cloud",
        *("MBR", "GRUB", "ext4"),
        lv=Proved(),
        disk=BIOS,
        builder="fai-server",
    ),
    "openstack-debian-images": System(
        "build-openstack-debian-image, minimal",
        *("MBR", "GRUB", "ext4"),
        lv=Proved(),
        disk=BIOS,
        builder="openstack-debian-images",
    ),
    "vmdb2": System(
        "vmdb2, by the steps of its manual",
        *("MBR", "GRUB", "ext4"),
        lv=Proved(),
        disk=BIOS,
        builder="vmdb2",
    ),
}
