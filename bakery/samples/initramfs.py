"""One initramfs for every sample: it finds any root, on any disk, behind LVM or not."""

from pathlib import Path

from bakery.samples.debian import kernel_version
from bakery.samples.enclosure import run_inside

VERSION = 1
# The loader entries of 2014 carry no rd.lvm.lv=; without rd.auto an initramfs made for any
# host leaves LVM alone.
BUILT_IN_ARGS = "rd.auto=1"
FILESYSTEMS = "ext4 xfs btrfs vfat overlay"
DRIVERS = "virtio_blk virtio_scsi virtio_pci virtio_net ahci ata_piix nvme sd_mod e1000 btrfs"
# Fibre Channel and offload adapters: the largest drivers there are, with firmware interfaces and
# network stacks in tow.
OMITTED_DRIVERS = (
    "be2iscsi bfa bnx2fc bnx2i csiostor cxgb3i cxgb4i fcoe libfc lpfc qedf qedi qla2xxx qla4xxx"
)
ADDED_MODULES = "ostree lvm"
# dracut's btrfs module is for many devices, and loads the driver on every boot; one device mounts
# without it.
OMITTED_MODULES = "btrfs crypt lunmask nvdimm overlay-root qemu resume terminfo virtiofs"
COMPRESSION = "zstd -15 -T0"


def recipe() -> list[object]:
    """What decides the content of the initramfs, the packages apart."""
    modules = (ADDED_MODULES, OMITTED_MODULES, DRIVERS, OMITTED_DRIVERS, FILESYSTEMS)
    return ["initramfs", VERSION, BUILT_IN_ARGS, modules, COMPRESSION]


def make_initramfs(tree: Path) -> None:
    """Make `/boot/initrd.img-VERSION` of the kernel in `tree` with dracut."""
    version = kernel_version(tree)
    target = f"/boot/initrd.img-{version}"
    run_inside(
        tree,
        [
            "dracut",
            "--quiet",
            "--no-hostonly",
            "--reproducible",
            f"--kver={version}",
            f"--kernel-cmdline={BUILT_IN_ARGS}",
            f"--add={ADDED_MODULES}",
            f"--omit={OMITTED_MODULES}",
            f"--filesystems={FILESYSTEMS}",
            f"--add-drivers={DRIVERS}",
            f"--omit-drivers={OMITTED_DRIVERS}",
            f"--compress={COMPRESSION}",
            target,
        ],
        timeout=1200,
    )
    (tree / target.lstrip("/")).chmod(0o644)
