"""The names OSTree gives to what it deploys, and what they say.

The kernel argument `ostree=/ostree/boot.B/STATEROOT/BOOTCSUM/SERIAL` names a symlink in the root
filesystem that leads to the deployment, `/ostree/deploy/STATEROOT/deploy/COMMIT.N`; kernel and
initramfs lie in `/boot/ostree/STATEROOT-BOOTCSUM` (libostree: ostree-sysroot.c, "Boot
configuration" in docs/deployment.md). All of it comes from an image, so every part is checked
before a path is made of it.
"""

import re

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

ARGUMENT = "ostree="
SERIAL_LIMIT = 1 << 31

# A stateroot is a directory's name; libostree takes any, we take those that need no quoting.
_STATEROOT = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}"
_CHECKSUM = r"[0-9a-f]{64}"
_SERIAL = r"(?:0|[1-9][0-9]{0,9})"
_BOOT = re.compile(rf"/ostree/boot\.([01])(?:\.([01]))?/({_STATEROOT})/({_CHECKSUM})/({_SERIAL})/?")
_DEPLOYMENT = re.compile(rf"({_CHECKSUM})\.({_SERIAL})")


class BootPath(msgspec.Struct, frozen=True):
    """What an `ostree=` argument names.

    `boot_version` is the 0 or 1 of `boot.0`, `boot.1`; `serial` tells deployments with the same
    kernel and initramfs (`boot_checksum`, of those two files) apart.
    """

    boot_version: int
    stateroot: str
    boot_checksum: str
    serial: int

    @property
    def path(self) -> str:
        """The symlink to the deployment, in the root filesystem."""
        return (
            f"/ostree/boot.{self.boot_version}/{self.stateroot}/{self.boot_checksum}/{self.serial}"
        )


class DeploymentName(msgspec.Struct, frozen=True):
    """A deployment directory's name, `COMMIT.SERIAL`."""

    checksum: str
    serial: int

    def __str__(self) -> str:
        return f"{self.checksum}.{self.serial}"

    def path(self, stateroot: str) -> str:
        """The deployment's directory in the root filesystem."""
        return f"/ostree/deploy/{stateroot}/deploy/{self}"


def parse_boot_argument(argument: str) -> BootPath:
    """What `ostree=/ostree/boot.B/STATEROOT/BOOTCSUM/SERIAL` names; BakeryError if nothing.

    `boot.B.S` (what `boot.B` links to) is taken as well.
    """
    match = _BOOT.fullmatch(argument.removeprefix(ARGUMENT))
    serial = int(match[5]) if match else SERIAL_LIMIT
    if match is None or serial >= SERIAL_LIMIT:
        raise BakeryError(
            f"the kernel argument {shown(argument)} names no OSTree deployment",
            "expected ostree=/ostree/boot.[01]/STATEROOT/BOOTCSUM/SERIAL",
        )
    return BootPath(int(match[1]), match[3], match[4], serial)


def parse_deployment_name(name: str) -> DeploymentName:
    """A deployment directory's name taken apart; BakeryError where it is none."""
    match = _DEPLOYMENT.fullmatch(name)
    if match is None or int(match[2]) >= SERIAL_LIMIT:
        raise BakeryError(f"{shown(name)} is not the name of an OSTree deployment: COMMIT.SERIAL")
    return DeploymentName(match[1], int(match[2]))
