"""GRUB, so that the whole disk starts by firmware.

No grub-install: it probes devices, and a file is not one. What it would do is little. For BIOS,
grub-mkimage's core image assumes the place it is put in here: boot.img loads sector 1, and the
image's own block list goes on from sector 2. For UEFI the program is a file on the ESP.
"""

import shutil
from pathlib import Path

from bakery.lab.disk_layout import FIRST_BYTE, SECTOR_BYTES
from bakery.lab.filesystems import Filesystem
from bakery.lab.variants import Firmware
from bakery.run import Arg, run

GRUB_MODULES = Path("/usr/lib/grub")
BOOT_CODE_BYTES = 440  # of the MBR; disk signature and partition table follow
BIOS_FORMAT = "i386-pc"
UEFI_FORMAT = "x86_64-efi"
GRUB_PACKAGES = {  # Debian's package → the modules in it
    "grub-pc-bin": GRUB_MODULES / BIOS_FORMAT,
    "grub-efi-amd64-bin": GRUB_MODULES / UEFI_FORMAT,
}
# Enough to reach /boot; everything else loads from there.
BIOS_CORE = ("biosdisk", "part_msdos", "ext2")
UEFI_CORE = ("part_gpt", "fat", "ext2", "normal", "search", "search_fs_uuid", "configfile")
EFI_VENDOR_DIRECTORY = "EFI/fedora"
REMOVABLE_PATH = "EFI/BOOT/BOOTX64.EFI"  # taken where no boot variable is set (UEFI 3.5.1.1)

HEADER = """\
# Menu for the first hard disk; console on the screen and on the first serial port.
set default=0
set timeout=1
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
function load_video {
  true
}
"""


def grub_format(firmware: Firmware) -> str:
    """GRUB's name for the platform."""
    return BIOS_FORMAT if firmware == "bios" else UEFI_FORMAT


def copy_modules(firmware: Firmware, directory: Path) -> None:
    """Put GRUB's loadable modules where its prefix is, as grub-install does."""
    source = GRUB_MODULES / grub_format(firmware)
    target = directory / source.name
    target.mkdir(parents=True)
    for pattern in ("*.mod", "*.lst"):
        for module in source.glob(pattern):
            shutil.copy(module, target)


def write_ostree_menu(root: Path, firmware: Firmware, boot: Filesystem) -> None:
    """Write /boot/grub2/grub.cfg with an entry for each loader entry, by OSTree's own generator.

    The file lies beside the entries it came from and /boot/grub2 links to it, as on Fedora
    Atomic: one rename of /boot/loader switches both.
    """
    environment = {
        "GRUB2_BOOT_DEVICE_ID": boot.uuid,
        "GRUB2_PREPARE_ROOT_CACHE": f"search --no-floppy --fs-uuid --set=root {boot.uuid}",
    }
    if firmware == "uefi":
        environment["_OSTREE_GRUB2_IS_EFI"] = "1"
    entries = run(
        ["ostree", "admin", "instutil", "grub2-generate", f"--sysroot={root}"], env=environment
    ).text
    (root / "boot/loader/grub.cfg").write_text(HEADER + entries)
    grub = root / "boot/grub2"
    grub.mkdir()
    (grub / "grub.cfg").symlink_to("../loader/grub.cfg")
    copy_modules(firmware, grub)


def install_bios(disk: Path, prefix: str, scratch: Path) -> None:
    """Write boot code to the MBR and the core image into the gap before the first partition."""
    core = _core_image(BIOS_FORMAT, prefix, BIOS_CORE, scratch)
    assert SECTOR_BYTES + len(core) <= FIRST_BYTE
    with disk.open("r+b") as file:
        file.write((GRUB_MODULES / BIOS_FORMAT / "boot.img").read_bytes()[:BOOT_CODE_BYTES])
        file.seek(SECTOR_BYTES)
        file.write(core)


def install_uefi(esp: Filesystem, boot: Filesystem, scratch: Path) -> None:
    """Fill the ESP: GRUB for the removable path and the vendor's, and a menu that leads to /boot.

    mtools write it, because not every kernel has vfat.
    """
    program = scratch / "grubx64.efi"
    program.write_bytes(_core_image(UEFI_FORMAT, f"/{EFI_VENDOR_DIRECTORY}", UEFI_CORE, scratch))
    stub = scratch / "grub.cfg"
    stub.write_text(
        f"search --no-floppy --fs-uuid --set=root {boot.uuid}\n"
        "set prefix=($root)/grub2\n"
        "configfile $prefix/grub.cfg\n"
    )
    for directory in ("EFI", "EFI/BOOT", EFI_VENDOR_DIRECTORY):
        run(["mmd", "-i", esp.path, f"::{directory}"])
    _copy_to_esp(esp, program, REMOVABLE_PATH)
    _copy_to_esp(esp, program, f"{EFI_VENDOR_DIRECTORY}/grubx64.efi")
    _copy_to_esp(esp, stub, f"{EFI_VENDOR_DIRECTORY}/grub.cfg")


def _core_image(grub_format: str, prefix: str, modules: tuple[str, ...], scratch: Path) -> bytes:
    output = scratch / f"core-{grub_format}.img"
    words: list[Arg] = [
        "grub-mkimage",
        "--format",
        grub_format,
        "--prefix",
        prefix,
        "--output",
        output,
    ]
    run([*words, *modules])
    return output.read_bytes()


def _copy_to_esp(esp: Filesystem, source: Path, target: str) -> None:
    run(["mcopy", "-i", esp.path, source, f"::{target}"])
