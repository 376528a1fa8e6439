"""A system of a handful of files, in the place of Debian: what is made of it takes a second."""

from pathlib import Path

from bakery.host.report import Report, silent
from bakery.samples import build, commits
from bakery.samples.facts import SampleInfo
from bakery.samples.layers import make_layer
from bakery.samples.mounts import private_mounts
from bakery.samples.variants import BOOT_WORDS, MIB, LogicalVolume, Variant

KERNEL_VERSION = "6.1.0-1-amd64"
KERNEL, INITRD = b"kernel" * 100, b"initrd" * 100
FOLDERS = (
    *("boot", "dev", "etc/default", "home", "media", "mnt", "opt", "proc", "root", "run", "srv"),
    *("sys", "tmp", "usr/lib/tmpfiles.d", f"usr/lib/modules/{KERNEL_VERSION}", "var/lib/dpkg"),
)

# In each something is as in no other; xfs and a segment of it want 300 MiB.
VARIANTS = (
    Variant(
        "little-lvm",
        "two deployments, a volume in two segments",
        deployments=2,
        lvm=LogicalVolume("a-vg", "root", ((0, 50), (60, 30))),
        fstab_extra=BOOT_WORDS,
        var_directories=("lib/bootstrap", "srv/boot"),
        compression="zstd",
        disk_bytes=700 * MIB,
    ),
    Variant(
        "little-uefi",
        "GPT, no LVM",
        stateroot="other",
        firmware="uefi",
        root_filesystem="ext4",
        lvm=None,
        disk_bytes=700 * MIB,
    ),
    Variant(
        "little-no-boot",
        "no line for /boot",
        root_filesystem="ext4",
        lvm=None,
        fstab_boot=False,
        disk_bytes=500 * MIB,
    ),
    Variant(
        "little-plain",
        "no OSTree",
        stateroot=None,
        root_filesystem="ext4",
        lvm=None,
        disk_bytes=128 * MIB,
    ),
)


def fill(root: Path) -> None:
    """The tree of the layer that is mounted at `root`, as debootstrap and dracut leave one."""
    tree = root / "tree"
    for name in FOLDERS:
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / f"boot/vmlinuz-{KERNEL_VERSION}").write_bytes(KERNEL)
    (tree / f"boot/initrd.img-{KERNEL_VERSION}").write_bytes(INITRD)
    for name in ("vmlinuz", "initrd.img.old"):
        (tree / name).symlink_to(f"boot/{name}")
    (tree / "etc/os-release").write_text('ID=little\nPRETTY_NAME="Little"\nVERSION_ID=1\n')
    (tree / "root/.profile").write_text("")
    (tree / "var/lib/dpkg/status").write_text("")


def make(variant: Variant, folder: Path, report: Report | None = None) -> tuple[Path, SampleInfo]:
    """The image of a variant, and what is known about it. Needs root."""

    def layered(root: Path) -> None:
        fill(root)
        if variant.stateroot:
            commits.commit_releases(root)

    layer, image = folder / "layer.ext4", folder / "image.qcow2"
    with private_mounts():
        make_layer(layer, _new(folder / "below"), layered)
        info = build.build(variant, layer, _new(folder / "work"), image, report or silent())
    return image, info


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
