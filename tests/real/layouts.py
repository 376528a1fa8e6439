"""How others lay out a system on a disk: one function each, from the userland to a raw disk."""

from collections.abc import Callable
from pathlib import Path

from bakery.host.run import run
from bakery.samples.bootloader import BIOS_FORMAT, GRUB_MODULES, copy_modules
from tests.real import groups, loaders
from tests.real.disks import (
    BIOS_BOOT,
    ESP,
    LINUX,
    MBR_LINUX,
    MBR_LVM,
    MBR_SWAP,
    ROOT_X86_64,
    SECTOR_BYTES,
    Disk,
)
from tests.real.loaders import Kernel
from tests.real.userland import Userland, make_subvolume

ROOT_MIB = 1400
BOOT_MIB = 160
ESP_MIB = 100
KERNEL_ESP_MIB = 200  # with a kernel and its initramfs on it
BIG_SECTOR_BYTES = 4096
MACHINE_ID = "11112222333344445555666677778888"
CONSOLE = ("console=tty0", "console=ttyS0")
BIOS_GPT = ("biosdisk", "part_gpt")
BIOS_MBR = ("biosdisk", "part_msdos")


def partuuid_cloud(land: Userland, disk: Disk) -> None:
    """The cloud images of Debian and Ubuntu: GPT; the root and all else by PARTUUID."""
    bios, esp, root = disk.table(
        "gpt", (14, BIOS_BOOT, 3), (15, ESP, ESP_MIB), (1, ROOT_X86_64, ROOT_MIB)
    )
    system = disk.ext4(root)
    disk.vfat(esp, loaders.grub_uefi(system.uuid, "/boot/grub", "debian", land.scratch))
    fstab = [
        f"PARTUUID={root.uuid} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1",
        f"PARTUUID={esp.uuid} /boot/efi vfat defaults 0 0",
    ]
    kernel = Kernel(land.version, (f"root=PARTUUID={root.uuid}", "ro", *CONSOLE), "/boot")
    with land.unpacked(fstab, {"/": system}) as top:
        (top / "boot/efi").mkdir()
        _write_grub_menu(top / "boot/grub", loaders.grub_menu(kernel, system.uuid))
    disk.write()
    core = bios.start // SECTOR_BYTES
    loaders.grub_bios(disk.path, "(hd0,gpt1)/boot/grub", (*BIOS_GPT, "ext2"), land.scratch, core)


def own_var_home_swap(land: Userland, disk: Disk) -> None:
    """Debian's installer, "separate /home and /var"; with resume=, as other installers write it."""
    root, swap, var, home = disk.table(
        "dos", (1, MBR_LINUX, ROOT_MIB), (2, MBR_SWAP, 64), (3, MBR_LINUX, 400), (4, MBR_LINUX, 64)
    )
    system, of_var, of_home = disk.ext4(root), disk.ext4(var), disk.ext4(home)
    pages = disk.swap(swap)
    fstab = [
        f"{system.spec} / ext4 errors=remount-ro 0 1",
        f"{of_var.spec} /var ext4 defaults 0 2",
        f"{of_home.spec} /home ext4 defaults 0 2",
        f"{pages.spec} none swap sw 0 0",
    ]
    args = (f"root={system.spec}", "ro", f"resume={pages.spec}", *CONSOLE)
    kernel = Kernel(land.version, args, "/boot")
    with land.unpacked(fstab, {"/": system, "/var": of_var, "/home": of_home}) as top:
        _write_grub_menu(top / "boot/grub", loaders.grub_menu(kernel, system.uuid))
    disk.write()
    loaders.grub_bios(disk.path, "(hd0,msdos1)/boot/grub", (*BIOS_MBR, "ext2"), land.scratch)


def own_usr(land: Userland, disk: Disk) -> None:
    """/usr on a partition of its own; the initramfs mounts it out of the root's fstab."""
    root, usr = disk.table("dos", (1, MBR_LINUX, 300), (2, MBR_LINUX, ROOT_MIB))
    system, of_usr = disk.ext4(root), disk.ext4(usr)
    fstab = [
        f"{system.spec} / ext4 errors=remount-ro 0 1",
        f"{of_usr.spec} /usr ext4 defaults 0 2",
    ]
    kernel = Kernel(land.version, (f"root={system.spec}", "ro", *CONSOLE), "/boot")
    with land.unpacked(fstab, {"/": system, "/usr": of_usr}) as top:
        _write_grub_menu(top / "boot/grub", loaders.grub_menu(kernel, system.uuid))
    disk.write()
    loaders.grub_bios(disk.path, "(hd0,msdos1)/boot/grub", (*BIOS_MBR, "ext2"), land.scratch)


def debian_rootfs(land: Userland, disk: Disk) -> None:
    """Debian's installer on btrfs: everything in the subvolume @rootfs, /boot too."""
    (root,) = disk.table("dos", (1, MBR_LINUX, ROOT_MIB))
    system = disk.btrfs(root)
    fstab = [f"{system.spec} / btrfs defaults,subvol=@rootfs 0 0"]
    args = (f"root={system.spec}", "ro", "rootflags=subvol=@rootfs", *CONSOLE)
    kernel = Kernel(land.version, args, "/@rootfs/boot")
    with land.in_subvolumes(system, fstab, "@rootfs") as top:
        _write_grub_menu(top / "@rootfs/boot/grub", loaders.grub_menu(kernel, system.uuid))
    disk.write()
    prefix = "(hd0,msdos1)/@rootfs/boot/grub"
    loaders.grub_bios(disk.path, prefix, (*BIOS_MBR, "btrfs"), land.scratch)


def default_subvolume(land: Userland, disk: Disk) -> None:
    """openSUSE's btrfs: the root is the default subvolume, a snapshot; /var beside it.

    openSUSE's GRUB reads paths from there. Debian's cannot, so this menu has them from the top.
    """
    snapshot = "@/.snapshots/1/snapshot"
    bios, root = disk.table("gpt", (1, BIOS_BOOT, 8), (2, LINUX, ROOT_MIB))
    system = disk.btrfs(root)
    fstab = [
        f"{system.spec} / btrfs defaults 0 0",
        f"{system.spec} /var btrfs subvol=/@/var 0 0",
        f"{system.spec} /.snapshots btrfs subvol=/@/.snapshots 0 0",
    ]
    kernel = Kernel(land.version, (f"root={system.spec}", *CONSOLE), f"/{snapshot}/boot")
    above = ("@", "@/.snapshots")
    with land.in_subvolumes(system, fstab, snapshot, {"@/var": "var"}, above=above) as top:
        (top / snapshot / ".snapshots").mkdir()
        _write_grub_menu(top / snapshot / "boot/grub2", loaders.grub_menu(kernel, system.uuid))
        run(["btrfs", "subvolume", "set-default", top / snapshot])
    disk.write()
    prefix, core = f"(hd0,gpt2)/{snapshot}/boot/grub2", bios.start // SECTOR_BYTES
    loaders.grub_bios(disk.path, prefix, (*BIOS_GPT, "btrfs"), land.scratch, core)


def fedora_btrfs(land: Userland, disk: Disk) -> None:
    """Fedora: ESP, ext4 /boot with BLS entries, btrfs with the subvolumes root, home, var."""
    esp, boot, root = disk.table(
        "gpt", (1, ESP, ESP_MIB), (2, LINUX, BOOT_MIB), (3, LINUX, ROOT_MIB)
    )
    of_boot, system = disk.ext4(boot), disk.btrfs(root)
    args = (f"root={system.spec}", "ro", "rootflags=subvol=root", *CONSOLE)
    kernel = Kernel(land.version, args)
    files = loaders.grub_with_blscfg(kernel, of_boot.uuid, "/grub2", "fedora", land.scratch)
    of_esp = disk.vfat(esp, files)
    fstab = [
        f"{system.spec} / btrfs compress=zstd:1,subvol=root 0 0",
        f"{of_boot.spec} /boot ext4 defaults 1 2",
        f"{of_esp.spec} /boot/efi vfat umask=0077,shortname=winnt 0 2",
        f"{system.spec} /home btrfs compress=zstd:1,subvol=home 0 0",
        f"{system.spec} /var btrfs compress=zstd:1,subvol=var 0 0",
    ]
    subvolumes = {"home": "home", "var": "var"}
    with land.in_subvolumes(system, fstab, "root", subvolumes, boot=of_boot) as top:
        folder = top / "root/boot"
        (folder / "efi").mkdir()
        (folder / "grub2").mkdir()
        (folder / "grub2/grub.cfg").write_text(loaders.BLSCFG_MENU)
        (folder / "loader/entries").mkdir(parents=True)
        entry = folder / f"loader/entries/{MACHINE_ID}-{land.version}.conf"
        entry.write_text(loaders.bls_entry(kernel))
    disk.write()


def gpt_auto(land: Userland, disk: Disk) -> None:
    """mkosi with Type #1 entries: no root= at all; the partition's type tells systemd the root."""
    esp, root = disk.table("gpt", (1, ESP, KERNEL_ESP_MIB), (2, ROOT_X86_64, ROOT_MIB))
    system = disk.ext4(root)
    disk.vfat(esp, _type_1_files(land))
    with land.unpacked([], {"/": system}):
        pass
    disk.write()


def gpt_auto_btrfs(land: Userland, disk: Disk) -> None:
    """mkosi on btrfs: the system in the top level, /home and /var nested in it as subvolumes."""
    esp, root = disk.table("gpt", (1, ESP, KERNEL_ESP_MIB), (2, ROOT_X86_64, ROOT_MIB))
    system = disk.btrfs(root)
    disk.vfat(esp, _type_1_files(land))
    with land.mounted(system) as top:
        for name in ("home", "var"):
            make_subvolume(top / name)
        land.copy(top, [])
    disk.write()


def unified_kernel(land: Userland, disk: Disk) -> None:
    """mkosi with a unified kernel image, which systemd-boot finds on the ESP; no root=."""
    esp, root = disk.table("gpt", (1, ESP, KERNEL_ESP_MIB), (2, ROOT_X86_64, ROOT_MIB))
    system = disk.ext4(root)
    args = " ".join(("rw", *CONSOLE))
    unified = loaders.unified_image(land.kernel, land.initrd, land.os_release, args, land.scratch)
    files = {f"EFI/Linux/debian-{land.version}.efi": unified}
    disk.vfat(esp, loaders.systemd_boot(land.scratch) | files)
    with land.unpacked([], {"/": system}):
        pass
    disk.write()


def two_pv_group(land: Userland, disk: Disk) -> None:
    """A volume group grown on to a second partition: the root has a segment on each."""
    boot, first, second = disk.table(
        "dos", (1, MBR_LINUX, BOOT_MIB), (2, MBR_LVM, 900), (3, MBR_LVM, 600)
    )
    pieces = groups.spanning_volume(disk.path, "almalinux", "root", [first, second])
    of_boot = disk.ext4(boot)
    system = disk.volume(pieces, "mkfs.ext4", "-q")
    fstab = [
        "/dev/mapper/almalinux-root / ext4 defaults 0 0",
        f"{of_boot.spec} /boot ext4 defaults 0 0",
    ]
    args = ("root=/dev/mapper/almalinux-root", "ro", "rd.lvm.lv=almalinux/root", *CONSOLE)
    with land.unpacked(fstab, {"/": system, "/boot": of_boot}) as top:
        menu = loaders.grub_menu(Kernel(land.version, args), of_boot.uuid)
        _write_grub_menu(top / "boot/grub", menu)
    disk.write()
    loaders.grub_bios(disk.path, "(hd0,msdos1)/grub", (*BIOS_MBR, "ext2"), land.scratch)


def big_sectors(land: Userland, disk: Disk) -> None:
    """A disk made for sectors of 4096 bytes: the GPT and the ESP's filesystem count in them."""
    esp, root = disk.table(
        "gpt", (1, ESP, 300), (2, LINUX, ROOT_MIB), sector_bytes=BIG_SECTOR_BYTES
    )
    system = disk.ext4(root)
    files = loaders.grub_uefi(system.uuid, "/boot/grub", "debian", land.scratch)
    of_esp = disk.vfat(esp, files, "-S", str(BIG_SECTOR_BYTES))
    fstab = [
        f"{system.spec} / ext4 errors=remount-ro 0 1",
        f"{of_esp.spec} /boot/efi vfat umask=0077 0 1",
    ]
    kernel = Kernel(land.version, (f"root={system.spec}", "ro", *CONSOLE), "/boot")
    with land.unpacked(fstab, {"/": system}) as top:
        (top / "boot/efi").mkdir()
        _write_grub_menu(top / "boot/grub", loaders.grub_menu(kernel, system.uuid))
    disk.write()


def extlinux(land: Userland, disk: Disk) -> None:
    """extlinux, as openstack-debian-images and Alpine have it, in front of one ext4."""
    (root,) = disk.table("dos", (1, MBR_LINUX, ROOT_MIB))
    system = disk.ext4(root, "-O", "^64bit,^metadata_csum")  # syslinux 6.04 reads no other
    kernel = Kernel(land.version, (f"root={system.spec}", "ro", *CONSOLE), "/boot")
    with land.unpacked([f"{system.spec} / ext4 errors=remount-ro 0 1"], {"/": system}) as top:
        loaders.extlinux(top / "boot/extlinux", disk.path, kernel)
    disk.write()
    loaders.set_hidden_sectors(disk.path, root.start)


def _type_1_files(land: Userland) -> dict[str, Path]:
    """An ESP's files: systemd-boot, a Type #1 entry without root=, kernel and initramfs."""
    folder = f"{MACHINE_ID}/{land.version}"
    entry = land.scratch / "entry.conf"
    entry.write_text(loaders.bls_entry(Kernel(land.version, ("rw", *CONSOLE), f"/{folder}")))
    return loaders.systemd_boot(land.scratch) | {
        f"loader/entries/{MACHINE_ID}-{land.version}.conf": entry,
        f"{folder}/vmlinuz-{land.version}": land.kernel,
        f"{folder}/initrd.img-{land.version}": land.initrd,
    }


def _write_grub_menu(folder: Path, menu: str) -> None:
    """grub.cfg and, beside it, the modules that GRUB for BIOS loads."""
    copy_modules(GRUB_MODULES / BIOS_FORMAT, folder)
    (folder / "grub.cfg").write_text(menu)


LAYOUTS: dict[str, Callable[[Userland, Disk], None]] = {
    "partuuid-cloud": partuuid_cloud,
    "own-var-home-swap": own_var_home_swap,
    "own-usr": own_usr,
    "debian-rootfs": debian_rootfs,
    "default-subvolume": default_subvolume,
    "fedora-btrfs": fedora_btrfs,
    "gpt-auto": gpt_auto,
    "gpt-auto-btrfs": gpt_auto_btrfs,
    "unified-kernel": unified_kernel,
    "two-pv-group": two_pv_group,
    "big-sectors": big_sectors,
    "extlinux": extlinux,
}
