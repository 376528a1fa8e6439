"""What GRUB sees of a machine: the files of its devices, and which device answers to a name."""

from typing import Literal, Protocol

Platform = Literal["efi", "pc"]
Kind = Literal["fs-uuid", "label", "file"]


class World(Protocol):
    """The machine that a script of GRUB's runs on.

    Devices go by GRUB's names, without brackets (`hd0,gpt2`, `lvm/vg-root`), and are opaque here:
    they come from the variables at the start and from `find`. Paths start with a slash and have
    no `.`, `..` or empty part; GRUB sees a filesystem from its top, and follows links inside it.
    A device that is not there has no files. Methods may raise BakeryError.
    """

    @property
    def platform(self) -> Platform:
        """What GRUB runs under: UEFI, or a PC's BIOS."""

    def read(self, device: str, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""

    def is_file(self, device: str, path: str) -> bool:
        """Whether a file that is no folder stands there."""

    def is_directory(self, device: str, path: str) -> bool:
        """Whether a folder stands there."""

    def names(self, device: str, path: str) -> tuple[str, ...]:
        """The names in a folder, without `.` and `..`; empty where there is none."""

    def find(self, kind: Kind, value: str) -> str | None:
        """The first device with a filesystem of that UUID or label, or with that file.

        A UUID counts in any case of letters, a label as it is (grub-core/commands/search.c).
        """
