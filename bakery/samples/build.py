"""One variant, from the shared layers to a finished qcow2 draft."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bakery.host.report import Report
from bakery.host.run import run
from bakery.samples import arm64, assemble, bootloader, facts, fstab, lvm, plain, sysroot
from bakery.samples.commits import RELEASES
from bakery.samples.debian import kernel_version
from bakery.samples.disk_layout import DiskLayout, layout_of, write_table
from bakery.samples.facts import SampleInfo
from bakery.samples.filesystems import Filesystem, make_filesystem
from bakery.samples.mounts import mounted
from bakery.samples.settings import SAMPLE_PASSWORD
from bakery.samples.variants import Variant


@dataclass(frozen=True)
class Content:
    """What was installed: kernel version, kernel arguments, and the deployments if there are."""

    kernel_version: str
    kernel_args: tuple[str, ...]
    deployments: tuple[sysroot.Deployment, ...] = ()


@dataclass(frozen=True)
class Volumes:
    """The filesystems of one sample, still apart."""

    root: Filesystem
    boot: Filesystem | None
    esp: Filesystem | None


def build(variant: Variant, layer: Path, scratch: Path, image: Path, report: Report) -> SampleInfo:
    """Make `image` from `layer`: the commits' for a variant with OSTree, the system's otherwise."""
    layout = layout_of(variant)
    volumes = _make_volumes(variant, layout, scratch)
    with report.step("root", f"the root filesystem of {variant.name}"):
        content = _install(variant, layer, volumes)
    with report.step("disk", "partitions, volumes, boot loader"):
        disk = scratch / "disk.raw"
        assemble.make_sparse(disk, layout.size)
        write_table(disk, layout)
        _write_bootloader(variant, layout, volumes, disk)
        _write_volumes(variant, layout, volumes, disk)
    with report.step("image", f"qcow2, {variant.compression} clusters") as step:
        assemble.compress(disk, image, variant.compression, step.progress)
    return _describe(variant, layout, volumes, content)


def _make_volumes(variant: Variant, layout: DiskLayout, scratch: Path) -> Volumes:
    root_bytes = variant.lvm.extents * lvm.EXTENT_BYTES if variant.lvm else layout.of("root").size
    boot = esp = None
    if layout.has("boot"):
        boot = make_filesystem(scratch / "boot.fs", "ext4", layout.of("boot").size)
    if layout.has("esp"):
        esp = make_filesystem(scratch / "esp.fs", "vfat", layout.of("esp").size)
    root = make_filesystem(scratch / "root.fs", variant.root_filesystem, root_bytes)
    return Volumes(root, boot, esp)


def _install(variant: Variant, layer: Path, volumes: Volumes) -> Content:
    scratch = volumes.root.path.parent
    with (
        mounted(layer, scratch / "layer", options="ro") as source,
        mounted(volumes.root.path, scratch / "root") as root,
    ):
        if volumes.boot is None:
            content = _install_plain(variant, source, root, volumes)
        else:
            content = _install_ostree(variant, source, root, volumes)
        run(["fstrim", root], timeout=120)  # what was deleted on the way is not copied on
    return content


def _install_plain(variant: Variant, source: Path, root: Path, volumes: Volumes) -> Content:
    arm = variant.architecture == "aarch64"
    platform = plain.ARM64 if arm else plain.PC
    plain.install(source, root, volumes.root, platform, volumes.esp)
    if arm:
        shutil.copy(source / arm64.BOOT_PROGRAM, volumes.root.path.parent)
    return Content(kernel_version(source / "tree"), plain.kernel_args(volumes.root, platform))


def _install_ostree(variant: Variant, source: Path, root: Path, volumes: Volumes) -> Content:
    assert volumes.boot is not None
    with mounted(volumes.boot.path, root / "boot"):
        deployments = sysroot.deploy_releases(
            root,
            source,
            RELEASES[: variant.deployments],
            variant,
            _root_device(variant, volumes),
            _fstab(variant, volumes),
        )
        bootloader.write_ostree_menu(root, variant.firmware, volumes.boot)
        default = deployments[0]
        kernel = next((root / "boot/ostree").glob(f"*-{default.bootcsum}/vmlinuz-*"))
        version = kernel.name.removeprefix("vmlinuz-")
        if volumes.esp:
            (root / "boot/efi").mkdir()
    return Content(version, default.kernel_args, tuple(deployments))


def _root_device(variant: Variant, volumes: Volumes) -> str:
    return variant.lvm.device if variant.lvm else volumes.root.spec


def _fstab(variant: Variant, volumes: Volumes) -> str:
    root_order = 1 if volumes.root.kind == "ext4" else 0
    mounts = [
        fstab.Mount(_root_device(variant, volumes), "/", volumes.root.kind, fsck_order=root_order)
    ]
    if volumes.boot and variant.fstab_boot:
        mounts.append(fstab.Mount(volumes.boot.spec, "/boot", "ext4", fsck_order=2))
    if volumes.esp and variant.fstab_boot:
        mounts.append(
            fstab.Mount(volumes.esp.spec, "/boot/efi", "vfat", "umask=0077,shortname=winnt")
        )
    return fstab.render(mounts, variant.fstab_extra)


def _write_bootloader(variant: Variant, layout: DiskLayout, volumes: Volumes, disk: Path) -> None:
    scratch = disk.parent
    if variant.architecture == "aarch64":
        assert volumes.esp
        program = scratch / arm64.BOOT_PROGRAM
        bootloader.install_uefi(volumes.esp, volumes.root, "/boot/grub", bootloader.ARM64, program)
    elif variant.firmware == "uefi":
        assert volumes.esp
        assert volumes.boot
        kind, program = bootloader.X86_64, scratch / bootloader.X86_64.program
        bootloader.write_program(program, kind, Path("/") / kind.modules_folder)
        bootloader.install_uefi(volumes.esp, volumes.boot, "/grub2", kind, program)
    else:
        prefix = (
            f"{layout.grub_device('boot')}/grub2"
            if volumes.boot
            else f"{layout.grub_device('root')}/boot/grub"
        )
        bootloader.install_bios(disk, prefix, scratch)


def _write_volumes(variant: Variant, layout: DiskLayout, volumes: Volumes, disk: Path) -> None:
    if volumes.esp:
        assemble.copy_into(volumes.esp.path, disk, [layout.of("esp").place])
    if volumes.boot:
        assemble.copy_into(volumes.boot.path, disk, [layout.of("boot").place])
    if variant.lvm:
        lvm.make_volume(disk, layout.of("pv"), variant.lvm)
        pieces = lvm.segments_in_disk(layout.of("pv"), variant.lvm)
    else:
        pieces = [layout.of("root").place]
    assemble.copy_into(volumes.root.path, disk, pieces)


def _describe(
    variant: Variant, layout: DiskLayout, volumes: Volumes, content: Content
) -> SampleInfo:
    deployments = content.deployments
    return SampleInfo(
        variant=variant.name,
        about=variant.about,
        virtual_size=layout.size,
        table=layout.table,
        partitions=layout.partitions,
        volume=variant.lvm,
        root_filesystem=volumes.root.kind,
        root_uuid=volumes.root.uuid,
        root_device=_root_device(variant, volumes),
        boot_uuid=volumes.boot.uuid if volumes.boot else None,
        stateroot=variant.stateroot,
        deployments=deployments,
        kernel_version=content.kernel_version,
        kernel_args=content.kernel_args,
        bootcsum=deployments[0].bootcsum if deployments else None,
        layouts=facts.layouts_of(variant),
        firmware=variant.firmware,
        password=SAMPLE_PASSWORD,
        architecture=variant.architecture,
    )
