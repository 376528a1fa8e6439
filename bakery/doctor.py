"""What this machine can do: found by trying, and for each thing missing the way to get it."""

import os
import re
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from bakery import sandbox, tools
from bakery.errors import BakeryError
from bakery.firmware import HINT as UEFI_HINT
from bakery.firmware import find_uefi
from bakery.kvm import cache_folder, examine
from bakery.run import run
from bakery.tools import Tool

Level = Literal["good", "poor", "missing"]
Group = Literal["engines", "confinement", "guests", "space", "tools"]

FUSE_DEVICE = Path("/dev/fuse")
KERNEL_PATTERNS = ("boot/vmlinuz-*", "boot/vmlinux-*", "lib/modules/*/vmlinuz")
ENOUGH_SPACE_BYTES = 4 << 30
VERSION_SECONDS = 5.0
VERSION_OPTIONS = {
    **dict.fromkeys(("mkfs.xfs", "mkfs.ext4", "debugfs", "dumpe2fs", "e2fsck", "ip"), "-V"),
    "busybox": "--help",
}
NO_VERSION = frozenset({"udp-receiver", "udp-sender"})
"""They have no option that tells it."""
VERSION = re.compile(r"\d+\.\d[\w.+~-]*")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about this machine.

    `good`: it serves; `poor`: bakery works without it or with less of it; `missing`: what it is
    for cannot be done. `remedy` is a command line or an advice, and may be empty.
    """

    group: Group
    name: str
    level: Level
    detail: str
    remedy: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All findings, and whether at least one engine can build here."""

    can_build: bool
    findings: tuple[Finding, ...]
    install: str
    """The one line that installs every missing program; empty when none is missing."""


def look(root: Path = Path("/")) -> Examination:
    """Examine this machine; takes a second or two, and writes nothing but the KVM verdict."""
    engines = (_direct(), _guestfs(root))
    found = (
        *engines,
        _bubblewrap(),
        _user_namespaces(),
        _fuse(),
        _acceleration(),
        _uefi(),
        *_spaces(),
        *(_tool(tool) for tool in tools.TOOLS),
    )
    absent = tools.missing(tool.program for tool in tools.TOOLS)
    return Examination(
        can_build=any(engine.level != "missing" for engine in engines),
        findings=found,
        install=tools.install_hint(absent),
    )


def _direct() -> Finding:
    from bakery.engines import direct

    obstacle = direct.why_not()
    if obstacle:
        return Finding(group="engines", name="direct", level="missing", detail=obstacle)
    if sandbox.available():
        detail = "reads images without a VM, in a bubblewrap cage"
        return Finding(group="engines", name="direct", level="good", detail=detail)
    detail = "reads images without a VM, but with no cage around it: bubblewrap does not work here"
    return Finding(group="engines", name="direct", level="poor", detail=detail)


def _guestfs(root: Path) -> Finding:
    absent = tools.missing(["guestfish", "qemu-img"])
    if absent:
        return Finding(
            group="engines",
            name="guestfs",
            level="missing",
            detail=f"{', '.join(absent)} not installed",
            remedy=tools.install_hint(absent),
        )
    if os.environ.get("LIBGUESTFS_PATH") or os.environ.get("SUPERMIN_KERNEL"):
        detail = "reads and edits any filesystem in the appliance the environment names"
        return Finding(group="engines", name="guestfs", level="good", detail=detail)
    return _appliance_kernel(root)


def _appliance_kernel(root: Path) -> Finding:
    """The appliance boots a kernel of this machine, which must be readable (supermin(1))."""
    kernels = sorted(path for pattern in KERNEL_PATTERNS for path in root.glob(pattern))
    readable = [path for path in kernels if os.access(path, os.R_OK)]
    if readable:
        detail = f"reads and edits any filesystem in an appliance VM, kernel {readable[-1].name}"
        return Finding(group="engines", name="guestfs", level="good", detail=detail)
    if kernels:
        detail, remedy = f"{kernels[-1]} cannot be read", f"sudo chmod a+r {kernels[-1]}"
    else:
        detail, remedy = "there is no kernel in /boot for its appliance", _kernel_line()
    return Finding(group="engines", name="guestfs", level="missing", detail=detail, remedy=remedy)


def _kernel_line() -> str:
    if tools.find("dnf") and not tools.find("apt-get"):
        return "sudo dnf install kernel-core"
    return "sudo apt-get install linux-image-amd64"


def _bubblewrap() -> Finding:
    works = sandbox.available()
    return Finding(
        group="confinement",
        name="bubblewrap",
        level="good" if works else "poor",
        detail="works"
        if works
        else "does not work here: programs that parse images run unconfined",
        remedy="" if works else tools.install_hint(tools.missing(["bwrap"])),
    )


def _user_namespaces() -> Finding:
    works = _succeeds(["unshare", "--user", "--map-root-user", "true"])
    return Finding(
        group="confinement",
        name="user namespaces",
        level="good" if works else "poor",
        detail="can be made" if works else "are forbidden here",
        remedy=""
        if works
        else "see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces",
    )


def _fuse() -> Finding:
    opens = os.access(FUSE_DEVICE, os.R_OK | os.W_OK)
    state = "opens" if opens else ("may not be opened" if FUSE_DEVICE.exists() else "is not there")
    return Finding(
        group="confinement",
        name="FUSE",
        level="good" if opens else "poor",
        detail=f"{FUSE_DEVICE} {state}",
        remedy="" if opens else "sudo modprobe fuse; in a container: --device /dev/fuse",
    )


def _acceleration() -> Finding:
    accel = examine(fresh=True)
    if accel.kind == "kvm":
        return Finding(group="guests", name="KVM", level="good", detail=accel.reason)
    detail = f"guests run without it (TCG), several times slower: {accel.reason}"
    return Finding(group="guests", name="KVM", level="poor", detail=detail)


def _uefi() -> Finding:
    uefi = find_uefi()
    if uefi:
        return Finding(group="guests", name="UEFI", level="good", detail=uefi.code.filename)
    detail = "no OVMF firmware: layout disk can be proved by BIOS alone"
    return Finding(group="guests", name="UEFI", level="poor", detail=detail, remedy=UEFI_HINT)


def _spaces() -> tuple[Finding, ...]:
    return (_space("here", Path.cwd()), _space("cache", cache_folder()))


def _space(name: str, folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    return Finding(
        group="space",
        name=name,
        level="good" if free >= ENOUGH_SPACE_BYTES else "poor",
        detail=f"{free / (1 << 30):.1f} GiB free in {folder}",
    )


def _tool(tool: Tool) -> Finding:
    if tools.find(tool.program) is None:
        remedy = tools.install_hint([tool.program])
        return Finding(
            group="tools", name=tool.program, level="missing", detail=tool.why, remedy=remedy
        )
    known = "" if tool.program in NO_VERSION else f"{_version(tool.program)}: "
    detail = known + tool.why
    return Finding(group="tools", name=tool.program, level="good", detail=detail)


def _version(program: str) -> str:
    """What the program says its version is; `version unknown` where it says nothing of use."""
    try:
        option = VERSION_OPTIONS.get(program, "--version")
        done = run([program, option], timeout=VERSION_SECONDS, check=False)
    except BakeryError:
        return "version unknown"
    found = VERSION.search((done.stdout or done.stderr).decode("utf-8", "replace"))
    return found[0].rstrip(".") if found else "version unknown"


def _succeeds(argv: list[str]) -> bool:
    try:
        run(argv, timeout=VERSION_SECONDS)
    except BakeryError:
        return False
    return True
