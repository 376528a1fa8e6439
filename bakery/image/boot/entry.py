"""One thing that a boot loader of an image can start, and where that is written."""

from typing import Literal

import msgspec

from bakery.system.kargs import Args

Firmware = Literal["uefi", "bios"]
Loader = Literal[
    "GRUB", "systemd-boot", "unified kernel image", "syslinux", "GRUB legacy", "boot loader entries"
]
"""`boot loader entries` are files of the Boot Loader Specification no loader is known to read."""
PlaceKind = Literal["script", "environment", "bls", "syslinux", "legacy", "sealed"]


class ImageFile(msgspec.Struct, frozen=True):
    """A file of the image, or `length` bytes of one from byte `offset` on; 0: all of it.

    `volume` is a volume's name as the survey has it; where it has none of that name, the entry has
    a problem.
    """

    volume: str
    path: str
    offset: int = 0
    length: int = 0

    def __str__(self) -> str:
        part = f", {self.length} bytes from byte {self.offset} on" if self.length else ""
        return f"{self.volume}:{self.path}{part}"


class ArgPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where an entry's kernel arguments, or a part of them, are written.

    `script` is a part of a file in GRUB's language, from byte `start` to `end`; where a `variable`
    is named, its value, else the words behind the kernel. `environment` is a variable of a grubenv.
    `bls`, `syslinux` and `legacy` are files with an entry in them; a `sealed` one is a program, and
    is not to be changed.
    """

    file: ImageFile
    kind: PlaceKind
    start: int = 0
    end: int = 0
    variable: str = ""


class BootEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a boot loader can start."""

    id: str
    title: str
    kernel: ImageFile
    initrds: tuple[ImageFile, ...]
    args: Args
    config: ImageFile
    """The file this entry was read from."""
    loader: Loader = "GRUB"
    firmware: tuple[Firmware, ...] = ()
    """The firmware that comes to it; empty where none does."""
    default_for: tuple[Firmware, ...] = ()
    """The firmware that starts it when nobody chooses."""
    places: tuple[ArgPlace, ...] = ()
    """Where its kernel arguments are written: all of them have to change for the entry to."""
    kernel_version: str = ""
    root: str = ""
    """The name of its root volume; empty where `root=` leads to none."""
    stateroot: str = ""
    checksum: str = ""
    serial: int = 0
    etc: str = "/etc"
    """The folder of its configuration files, inside the root volume."""
    problem: str = ""
    """Why it cannot be built; empty where it can."""

    @property
    def name(self) -> str:
        """Its title, and its id where that is another."""
        return self.title if self.title == self.id else f"{self.title} ({self.id})"

    @property
    def what(self) -> tuple[ImageFile, tuple[ImageFile, ...], Args]:
        """What it starts: two entries that agree in this are one."""
        return self.kernel, self.initrds, self.args


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How one firmware comes to what it starts.

    `program` is what the firmware itself starts, and `loader` what that is; `menus` are the files
    that were read, in their order. `note` says what was taken for granted, `problem` why it leads
    to nothing.
    """

    firmware: Firmware
    program: str
    loader: str = ""
    menus: tuple[str, ...] = ()
    note: str = ""
    problem: str = ""
