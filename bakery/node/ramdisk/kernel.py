"""The kernel the ramdisk belongs to: one that is installed here, with its modules."""

import re
from dataclasses import dataclass
from pathlib import Path

from bakery.host.errors import BakeryError

INSTALL = "sudo apt-get install linux-image-amd64 (Fedora: sudo dnf install kernel-core)"


@dataclass(frozen=True)
class Kernel:
    """An installed kernel: its version, its image, and the folder of its modules."""

    version: str
    image: Path
    modules: Path


def find(version: str = "", root: Path = Path("/")) -> Kernel:
    """The newest installed kernel, or the one of that version, whose image may be read.

    Debian keeps the image in /boot, Fedora beside the modules as well. Raises BakeryError.
    """
    found = {kernel.version: kernel for kernel in _installed(root)}
    if version and version not in found:
        there = ", ".join(sorted(found, key=order)) or "none"
        raise BakeryError(f"the kernel {version} is not installed; there are: {there}", INSTALL)
    if not found:
        raise BakeryError("no kernel with its modules is installed", INSTALL)
    kernel = found[version or max(found, key=order)]
    try:
        with kernel.image.open("rb"):
            return kernel
    except OSError as error:
        raise BakeryError(
            f"the kernel {kernel.image} cannot be read: {error.strerror}",
            f"sudo chmod a+r {kernel.image}",
        ) from None


def order(version: str) -> list[tuple[int, str]]:
    """What sorts versions by their numbers: 6.1.0-9 before 6.1.0-10."""
    return [(int(number or -1), text) for number, text in re.findall(r"(\d+)|(\D+)", version)]


def _installed(root: Path) -> list[Kernel]:
    found = []
    for modules in sorted((root / "lib/modules").glob("*")):
        for image in (root / f"boot/vmlinuz-{modules.name}", modules / "vmlinuz"):
            if (modules / "modules.dep").is_file() and image.is_file():
                found.append(Kernel(modules.name, image, modules))
                break
    return found
