"""GRUB, so that the whole disk starts by firmware.

No grub-install: it probes devices, and a file is not one. What it would do is little. For BIOS,
grub-mkimage's core image assumes the place it is put in here: boot.img loads sector 1, and the
image's own block list goes on from sector 2. For UEFI the program is a file on the ESP.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bakery.host.run import Arg, run
from bakery.samples.disk_layout import FIRST_BYTE, SECTOR_BYTES
from bakery.samples.filesystems import Filesystem
from bakery.samples.variants import Firmware

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


@dataclass(frozen=True)
class Efi:
    """A kind of UEFI machine: GRUB's name for it, and the names its ESP has.

    `removable` is taken where no boot variable is set (UEFI 3.5.1.1). `modules_folder` is where
    Debian's package puts GRUB's modules, below the root of the system that has them.
    """

    grub_format: str
    vendor_folder: str
    program: str
    removable: str

    @property
    def modules_folder(self) -> str:
        """A path below the system's root."""
        return f"usr/lib/grub/{self.grub_format}"


X86_64 = Efi(UEFI_FORMAT, "EFI/fedora", "grubx64.efi", "EFI/BOOT/BOOTX64.EFI")
ARM64 = Efi("arm64-efi", "EFI/debian", "grubaa64.efi", "EFI/BOOT/BOOTAA64.EFI")

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


def copy_modules(source: Path, directory: Path) -> None:
    """Put GRUB's loadable modules, of the platform that `source` is named for, where its prefix is.

    As grub-install does.
    """
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
    copy_modules(GRUB_MODULES / grub_format(firmware), grub)


def install_bios(disk: Path, prefix: str, scratch: Path) -> None:
    """Write boot code to the MBR and the core image into the gap before the first partition."""
    made = scratch / "core.img"
    _make_core(made, BIOS_FORMAT, prefix, BIOS_CORE, GRUB_MODULES / BIOS_FORMAT)
    core = made.read_bytes()
    assert SECTOR_BYTES + len(core) <= FIRST_BYTE
    with disk.open("r+b") as file:
        file.write((GRUB_MODULES / BIOS_FORMAT / "boot.img").read_bytes()[:BOOT_CODE_BYTES])
        file.seek(SECTOR_BYTES)
        file.write(core)


def write_program(path: Path, kind: Efi, modules: Path) -> None:
    """Write GRUB's program for UEFI machines of this kind, of the modules in that folder."""
    _make_core(path, kind.grub_format, f"/{kind.vendor_folder}", UEFI_CORE, modules)


def install_uefi(esp: Filesystem, home: Filesystem, folder: str, kind: Efi, program: Path) -> None:
    """Fill the ESP: GRUB for the removable path and the vendor's, and a menu that leads home.

    GRUB's `folder` lies on the filesystem `home`. mtools write, because not every kernel has vfat.
    """
    stub = program.with_name("grub.cfg")
    stub.write_text(
        f"search --no-floppy --fs-uuid --set=root {home.uuid}\n"
        f"set prefix=($root){folder}\n"
        "configfile $prefix/grub.cfg\n"
    )
    for directory in ("EFI", "EFI/BOOT", kind.vendor_folder):
        run(["mmd", "-i", esp.path, f"::{directory}"])
    _copy_to_esp(esp, program, kind.removable)
    _copy_to_esp(esp, program, f"{kind.vendor_folder}/{kind.program}")
    _copy_to_esp(esp, stub, f"{kind.vendor_folder}/grub.cfg")


def _make_core(
    output: Path, grub_format: str, prefix: str, names: tuple[str, ...], modules: Path
) -> None:
    words: list[Arg] = ["grub-mkimage", "--format", grub_format, "--prefix", prefix]
    run([*words, "--directory", modules, "--output", output, *names])


def _copy_to_esp(esp: Filesystem, source: Path, target: str) -> None:
    run(["mcopy", "-i", esp.path, source, f"::{target}"])
