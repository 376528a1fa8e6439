"""What a devstack for a build is made of: one typed record, with defaults of the release."""

import re

import msgspec

from bakery.devstack import sources
from bakery.devstack.host import GIB
from bakery.host.errors import BakeryError, UsageError
from bakery.host.printable import shown
from bakery.manifest import manifest
from bakery.openstack.ironic import releases

LOG_FOLDER = "/opt/stack/ironic-bm-logs"
"""Consoles of the nodes. Not below a home folder, which libvirt's own user may not enter; a folder
of its own, since stack.sh deletes everything in it (ironic: devstack/lib/ironic)."""
NODE_LIMIT = 64
NODE_DISK_GIB = 10
# The image, and room for the partition table, a config drive and what the system writes.
SPARE_DISK_BYTES = 1 * GIB

_ADDRESS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}")
_PASSWORD = re.compile(r"[A-Za-z0-9]{1,64}")
# Absolute, and nothing a shell would take for its own.
_FOLDER = re.compile(r"(/[A-Za-z0-9_.+-]+)+")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`node_…` are each virtual node's; `host_ip` may be empty: devstack finds it."""

    release: str
    nodes: int
    node_memory_mib: int
    node_disk_gib: int
    node_cpus: int = 1
    host_ip: str = ""
    password: str
    log_folder: str = LOG_FOLDER
    boot_mode: str = ""
    """`bios` or `uefi`; empty where the release has no such setting."""


def boot_mode(build: manifest.Manifest, release: str) -> str:
    """The nodes' firmware: what a whole disk boots by, or else the release's own.

    IRONIC_BOOT_MODE came with Ocata, and its default went from bios to uefi in Yoga (ironic:
    devstack/common_settings).
    """
    if not sources.at_least(release, "ocata"):
        if build.firmware == ("uefi",):
            raise BakeryError(
                f"the image only boots by UEFI, but devstack's nodes in {release.capitalize()} "
                "have BIOS",
                "--release ocata or later",
            )
        return ""
    own = "uefi" if sources.at_least(release, "yoga") else "bios"
    return own if not build.firmware or own in build.firmware else build.firmware[0]


def node_memory_mib(release: str) -> int:
    """What Ironic's devstack gives a node (IRONIC_VM_SPECS_RAM; Juno to Mitaka: its guide)."""
    if sources.at_least(release, "victoria"):
        return 3072
    return 1280 if sources.at_least(release, "newton") else 1024


def node_disk_gib(build: manifest.Manifest) -> int:
    """A disk the build's base fits on."""
    needed = build.artifacts["base"].size_bytes + SPARE_DISK_BYTES
    return max(NODE_DISK_GIB, -(-needed // GIB))


def make(
    build: manifest.Manifest,
    *,
    release: str,
    password: str,
    nodes: int = 1,
    memory_mib: int = 0,
    disk_gib: int = 0,
    cpus: int = 1,
    host_ip: str = "",
    log_folder: str = LOG_FOLDER,
) -> Settings:
    """Settings for a build; 0 stands for what the release or the build wants.

    UsageError for a value that devstack's shell would read as something else, BakeryError for one
    that the build does not fit.
    """
    name = releases.known(release)
    least = node_disk_gib(build)
    if disk_gib and disk_gib < -(-build.artifacts["base"].size_bytes // GIB):
        raise BakeryError(
            f"the base does not fit on a disk of {disk_gib} GiB", f"--disk {least} or more"
        )
    _check("--nodes", str(nodes), 1 <= nodes <= NODE_LIMIT, f"1 to {NODE_LIMIT}")
    if not _PASSWORD.fullmatch(password):  # which is not shown
        raise UsageError(
            "the first line of --password-file cannot be a password of devstack's services",
            "it takes letters and digits only, 64 at most",
        )
    _check("--host-ip", host_ip, not host_ip or _ADDRESS.fullmatch(host_ip), "an IPv4 address")
    _check("--log-folder", log_folder, _FOLDER.fullmatch(log_folder), "an absolute plain path")
    return Settings(
        release=name,
        nodes=nodes,
        node_memory_mib=memory_mib or node_memory_mib(name),
        node_disk_gib=disk_gib or least,
        node_cpus=cpus,
        host_ip=host_ip,
        password=password,
        log_folder=log_folder,
        boot_mode=boot_mode(build, name),
    )


def _check(option: str, value: str, good: object, wanted: str) -> None:
    if not good:
        raise UsageError(f"{option} {shown(value)} cannot be used", f"it takes {wanted}")
