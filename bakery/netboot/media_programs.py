"""GRUB, as a medium carries it: the program that BIOS starts, and the folder that UEFI does.

UEFI programs are taken as the distribution packages them for a CD (`gcd*.efi`), signed and behind
its shim where both are installed, so that they start with Secure Boot. What BIOS starts is made of
GRUB's modules. Both look for /boot/grub/grub.cfg on the medium that they came from.

Sources: El Torito Bootable CD-ROM Format 1.0; UEFI 2.10, 13.3.2.1 (El Torito) and 3.5.1.1 (names
on removable media); GRUB's grub-core/boot/i386/pc/cdboot.S; mtools(1), SOURCE_DATE_EPOCH.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import run
from bakery.netboot.boot_programs import Program

PREFIX = "/boot/grub"
BIOS_MODULES_FOLDER = "usr/lib/grub/i386-pc"
BIOS_MODULES = ("biosdisk", "iso9660", "linux", "normal")
# 1980-01-01, the first moment that FAT can tell.
EPOCH = {"SOURCE_DATE_EPOCH": "315532800", "TZ": "UTC0"}
SECTOR_BYTES, CD_SECTOR_BYTES = 512, 2048
# A catalog's entry counts sectors of 512 bytes in 16 bits; GRUB and shim take a sixth of that.
ESP_LIMIT_BYTES = 0xFFFF * SECTOR_BYTES
ESP_SLACK_BYTES = 256 << 10  # tables, folders, and what is left of each last cluster


@dataclass(frozen=True)
class Uefi:
    """UEFI's programs for a processor: what the firmware starts, and what shim starts behind it."""

    boot_name: str
    grub_name: str
    shim: Program
    signed: Program
    plain: Program

    def find(self, root: Path) -> dict[str, Path]:
        """The programs by their names in EFI/BOOT: shim and GRUB signed, or GRUB alone."""
        shim, signed = self.shim.find(root), self.signed.find(root)
        if shim and signed:
            return {self.boot_name: shim, self.grub_name: signed}
        return {self.boot_name: self.plain.need(root)}


def _uefi(suffix: str, grub: str, debian: str) -> Uefi:
    folder = f"/usr/lib/grub/{grub}"
    shim, cd = f"shim{suffix}.efi.signed", f"gcd{suffix}.efi"
    return Uefi(
        f"BOOT{suffix.upper()}.EFI",
        f"GRUB{suffix.upper()}.EFI",
        Program(shim, (shim,), ("/usr/lib/shim",), "shim-signed"),
        Program(cd, (f"{cd}.signed",), (f"{folder}-signed",), f"grub-efi-{debian}-signed"),
        Program(cd, (cd,), (f"{folder}/monolithic",), f"grub-efi-{debian}-bin"),
    )


UEFI = {
    "x86_64": _uefi("x64", "x86_64-efi", "amd64"),
    "aarch64": _uefi("aa64", "arm64-efi", "arm64"),
}
WITH_BIOS = "x86_64"


def of_processor(processor: str) -> Uefi:
    """The programs for a processor as uname(1) names it; BakeryError where there are none."""
    if processor not in UEFI:
        raise BakeryError(
            f"no medium can be made for the processor {processor or 'of this kernel'}",
            f"media are made for {' and '.join(UEFI)}",
        )
    return UEFI[processor]


def esp(folder: Path, programs: Mapping[str, Path]) -> Path:
    """An EFI system partition in `folder` with these programs in EFI/BOOT; FAT, without root.

    The same programs give the same bytes.
    """
    _need("mformat", "mmd", "mcopy")
    image = folder / "esp.img"
    sizes = sum(path.stat().st_size for path in programs.values())
    sectors = -(-(sizes + ESP_SLACK_BYTES) // CD_SECTOR_BYTES) * (CD_SECTOR_BYTES // SECTOR_BYTES)
    if sectors * SECTOR_BYTES > ESP_LIMIT_BYTES:
        raise BakeryError(f"UEFI's boot programs are too large for a medium: {sizes} bytes")
    run(["mformat", "-i", image, "-C", "-T", str(sectors), "-h", "64", "-s", "32", "-N", "0", "::"],
        env=EPOCH)  # fmt: skip
    run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT"], env=EPOCH)
    for name, path in programs.items():
        run(["mcopy", "-i", image, path, f"::/EFI/BOOT/{name}"], env=EPOCH)
    return image


def bios(folder: Path, root: Path) -> Path:
    """GRUB for El Torito without emulation, made in `folder` of the modules below `root`."""
    _need("grub-mkimage")
    modules = root / BIOS_MODULES_FOLDER
    if not (modules / "cdboot.img").is_file():
        raise BakeryError(
            "GRUB's modules for BIOS are not on this machine", "sudo apt-get install grub-pc-bin"
        )
    image = folder / "bios.img"
    run(["grub-mkimage", "--format", "i386-pc-eltorito", "--prefix", PREFIX, "--directory", modules,
         "--output", image, *BIOS_MODULES])  # fmt: skip
    return image


def _need(*programs: str) -> None:
    missing = tools.missing(programs)
    if missing:
        raise MissingTool(missing[0], tools.install_hint(missing))
