"""What a node boots from by its BMC's virtual drive: a medium of its own, of which most is shared.

A medium is an ISO (`media_image`) with a kernel and a ramdisk, the same for every node, and two
files of fixed length that are one node's own: the boot menu, with its kernel arguments, and a small
initramfs, with what is secret among them. A kernel tells its command line to everybody, on the
console as well; an initramfs it unpacks for its init alone. For each node these two are laid over
the shared ISO while it is served (`overlaid`); so a node costs no copy, and no secret is on a disk.

Sources: GRUB's manual, `linux` and `initrd`, which takes several files; Linux,
Documentation/driver-api/early-userspace/buffer-format.rst (archives one behind the other, zeros in
between).
"""

import stat
from collections.abc import Sequence
from dataclasses import dataclass

from bakery.host.errors import BakeryError
from bakery.host.plain_file import Seal
from bakery.netboot.overlaid import Overlaid
from bakery.node.agent.kernel_args import SECRETS_FILE
from bakery.node.ramdisk import cpio
from bakery.system import kargs, netboot_args

MENU_BYTES = 8 << 10
OWN_BYTES = 8 << 10
# Their places on the medium, as GRUB writes them.
KERNEL, RAMDISK, OWN = "/boot/kernel.img", "/boot/ramdisk.img", "/boot/own.img"
ENTRY = "deploy"


@dataclass(frozen=True)
class Medium:
    """A shared ISO, of `size_bytes`; `menu_at` and `own_at` are where the node's two files begin.

    `secure_boot` is True where its UEFI programs are signed by a distribution.
    """

    file: Seal
    size_bytes: int
    menu_at: int
    own_at: int
    secure_boot: bool

    def of_node(self, args: Sequence[str], secrets: Sequence[str]) -> Overlaid:
        """The medium of one node: its kernel arguments, and those that only its init is to know.

        BakeryError for an argument that cannot be passed on as it is, and for too many.
        """
        patches = sorted(((self.menu_at, menu(args)), (self.own_at, own(secrets))))
        return Overlaid(self.file, self.size_bytes, tuple(patches))


def menu(args: Sequence[str]) -> bytes:
    """A grub.cfg of one entry, which starts at once; filled up to MENU_BYTES by empty lines."""
    words = netboot_args.for_grub(args)
    netboot_args.check_length(" ".join([f"BOOT_IMAGE={KERNEL}", *args]), "GRUB")
    lines = [f"set default={ENTRY}", "set timeout=0", ""]
    lines += [f"menuentry '{ENTRY}' --id {ENTRY} {{"]
    lines += [" ".join([f"  linux {KERNEL}", *words]), f"  initrd {OWN} {RAMDISK}", "}", ""]
    text = "\n".join(lines).encode("ascii")
    if len(text) > MENU_BYTES:
        raise BakeryError(f"the kernel arguments take {len(text)} bytes, in a menu of {MENU_BYTES}")
    return text.ljust(MENU_BYTES, b"\n")


def own(secrets: Sequence[str]) -> bytes:
    """An initramfs of one file, which holds arguments for init; filled up to OWN_BYTES by zeros."""
    content = kargs.join(list(secrets)).encode("ascii") + b"\n"
    file = cpio.Member(stat.S_IFREG | 0o600, content)
    return b"".join(cpio.pack({SECRETS_FILE.lstrip("/"): file})).ljust(OWN_BYTES, b"\0")
