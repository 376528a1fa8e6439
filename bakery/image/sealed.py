"""Systems that boot from their own disk alone: verified as a whole, or never to be changed.

Taken off its disk a root is named anew, in files that the system has of it. Where no byte of those
can change, or what belongs to the root lies beside it, the whole disk is all that can be built.
"""

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.system import kargs

# systemd-veritysetup-generator(8); the kernel's own: Documentation/admin-guide/device-mapper/
# dm-init.rst.
VERITY = (
    *("roothash", "systemd.verity_root_data", "systemd.verity_root_hash"),
    *("usrhash", "systemd.verity_usr_data", "systemd.verity_usr_hash"),
)
ASSEMBLED = "dm-mod.create"
READ_ONLY = ("erofs", "squashfs")
NIX_STORE = "/nix/store/"


def refuse_sealed(entry_id: str, args: tuple[str, ...]) -> None:
    """Raise BakeryError where a boot entry's arguments start a system that is sealed."""
    for key in VERITY:
        if kargs.value(args, key):
            raise BakeryError(
                f"{entry_id} starts a system that is sealed by dm-verity ({key}=): no byte of it "
                "may change, and what it is verified against lies on another partition"
            )
    if kargs.value(args, ASSEMBLED):
        raise BakeryError(
            f"{entry_id} has the kernel put its root together ({ASSEMBLED}=), of partitions that "
            "are named there by their numbers"
        )
    init = kargs.value(args, "init") or ""
    if init.startswith(NIX_STORE):
        raise BakeryError(
            f"{entry_id} starts a NixOS (init={init}): what names its devices is kept in "
            "/nix/store and in its initrd, where nothing is ever changed"
        )


def refuse_read_only(entry_id: str, root: Volume) -> None:
    """Raise BakeryError where the root is a filesystem that is never written."""
    if root.type in READ_ONLY:
        raise BakeryError(
            f"{entry_id} starts a system on {root.name}, a {root.type}: that is only ever read, so "
            "nothing in it can be named anew"
        )
