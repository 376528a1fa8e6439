"""A mention: one place of a system that names a device, and what the system wants it for."""

from typing import Literal

import msgspec

Use = Literal[
    "root", "mount", "log", "swap", "resume", "unlock", "array", "lvm", "fips", "initramfs"
]
"""`log` is a further device that a mount asks for, as an XFS its log; `unlock` a LUKS volume to be
opened, `array` an MD array, `lvm` a group or a logical volume that the initramfs activates, `fips`
where dracut looks for the kernel's checksum, `initramfs` what its settings bake into that."""


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """A device, by the name that stands there."""

    device: str
    use: Use
    point: str = ""
    """Where it is mounted, tidied; empty where it is not."""
    optional: bool = False
    """Whether the system comes up without it, waiting for nothing."""
    line: int = 0
    """Its line in the file, from 1; of a kernel argument its place among them, from 0."""
    line_bytes: int = 0
    """The length of that line, without its end."""
    options: tuple[str, ...] = ()
    """How it is mounted (mount(8)) or opened (crypttab(5))."""
    makes: str = ""
    """What device-mapper calls the volume that is opened."""
    key: str = ""
    """The name of the kernel argument."""
