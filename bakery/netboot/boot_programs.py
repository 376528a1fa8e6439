"""The boot programs that firmware loads first, found where distributions put them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakery.host.errors import BakeryError
from bakery.netboot.boot_config import GRUB_MASTER, GRUB_MASTER_NAME
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.tree import Tree

# Debian's folders, then Fedora's.
IPXE_FOLDERS = ("/usr/lib/ipxe", "/usr/share/ipxe")
PXELINUX_FOLDERS = ("/usr/lib/PXELINUX", "/usr/share/syslinux")
MODULE_FOLDERS = ("/usr/lib/syslinux/modules/bios", "/usr/share/syslinux")
GRUB_FOLDERS = ("/usr/lib/grub/x86_64-efi/monolithic", "/boot/efi/EFI/fedora", "/usr/share/grub2")


@dataclass(frozen=True)
class Program:
    """A served name, what the file may be called, where it may be, and Debian's package of it."""

    name: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    package: str

    def find(self, root: Path = Path("/")) -> Path | None:
        """Where it is in the system below `root`; None where it is not."""
        for folder in self.folders:
            for name in self.files:
                path = root / folder.removeprefix("/") / name
                if path.is_file():
                    return path
        return None

    def need(self, root: Path = Path("/")) -> Path:
        """As `find`; BakeryError with its package where it is not."""
        found = self.find(root)
        if found is None:
            raise BakeryError(
                f"the boot program {self.name} is not on this machine",
                f"sudo apt-get install {self.package}",
            )
        return found


UNDIONLY = Program("undionly.kpxe", ("undionly.kpxe",), IPXE_FOLDERS, "ipxe")
# It drives the card by the firmware's own driver, so it works with every card UEFI knows.
SNPONLY = Program("snponly.efi", ("snponly.efi", "ipxe-snponly-x86_64.efi"), IPXE_FOLDERS, "ipxe")
PXELINUX = Program("pxelinux.0", ("pxelinux.0",), PXELINUX_FOLDERS, "pxelinux")
GRUB = Program(
    "grubnetx64.efi", ("grubnetx64.efi", "grubx64.efi"), GRUB_FOLDERS, "grub-efi-amd64-bin"
)
# ldlinux is the second half of pxelinux itself, the others start a disk.
MODULES = tuple(
    Program(name, (name,), MODULE_FOLDERS, "syslinux-common")
    for name in ("ldlinux.c32", "libcom32.c32", "libutil.c32", "chain.c32")
)


@dataclass(frozen=True)
class Chain:
    """What a node's firmware is to load: by BIOS, and by UEFI.

    iPXE runs a script. Where the firmware is to load something else, a card whose own firmware is
    iPXE loads that, too. The programs are looked for below `root`.
    """

    bios: Literal["ipxe", "pxelinux"] = "ipxe"
    uefi: Literal["ipxe", "grub"] = "ipxe"
    root: Path = Path("/")

    def put(self, tree: Tree) -> None:
        """Serve the programs; BakeryError where one is not on this machine."""
        for program in self._programs():
            tree.put(program.name, program.need(self.root))
        if self.uefi == "grub":
            tree.put(GRUB_MASTER_NAME, GRUB_MASTER.encode())

    def files(self, script: str, url: str = "") -> BootFiles:
        """What DHCP is to tell a node; `script` is the URL of its iPXE script.

        Under `url` the programs are served by HTTP. UEFI that boots by it is given iPXE, which
        goes on by itself; GRUB would look for its files where TFTP is.
        """
        return BootFiles(
            bios=(UNDIONLY if self.bios == "ipxe" else PXELINUX).name,
            uefi=(SNPONLY if self.uefi == "ipxe" else GRUB).name,
            bios_ipxe=script if self.bios == "ipxe" else "",
            uefi_ipxe=script if self.uefi == "ipxe" else "",
            uefi_http=f"{url}/{SNPONLY.name}" if url and self.uefi == "ipxe" else "",
        )

    def _programs(self) -> tuple[Program, ...]:
        bios = (UNDIONLY,) if self.bios == "ipxe" else (PXELINUX, *MODULES)
        return (*bios, SNPONLY if self.uefi == "ipxe" else GRUB)
