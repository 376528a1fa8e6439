"""What this machine can do: found by trying, and for each thing missing the way to get it."""

import os
import re
import shutil
from pathlib import Path
from typing import Literal

import msgspec

from bakery.host import sandbox, tools
from bakery.host.errors import BakeryError
from bakery.host.kvm import cache_folder, examine
from bakery.host.run import run
from bakery.host.tools import Tool
from bakery.vm.board import AARCH64, X86_64, Board
from bakery.vm.firmware import find_uefi

Level = Literal["good", "poor", "missing"]
Group = Literal["engines", "confinement", "guests", "space", "tools"]

FUSE_DEVICE = Path("/dev/fuse")
KERNEL_PATTERNS = ("boot/vmlinuz-*", "boot/vmlinux-*", "lib/modules/*/vmlinuz")
ENOUGH_SPACE_BYTES = 4 << 30
VERSION_SECONDS = 5.0
VERSION_OPTIONS = {
    **dict.fromkeys(("mkfs.xfs", "mkfs.ext4", "debugfs", "dumpe2fs", "e2fsck", "ip", "ssh"), "-V"),
    "busybox": "--help",
    "openssl": "version",
}
NO_VERSION = frozenset({"udp-receiver", "udp-sender"})
"""They have no option that tells it."""
VERSION = re.compile(r"\d+\.\d[\w.+~-]*|(?<=version )\d+")


class Finding(msgspec.Struct, frozen=True):
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
        _uefi("UEFI", X86_64),
        _uefi("UEFI arm64", AARCH64),
        _space("here", Path.cwd()),
        _space("cache", cache_folder()),
        *(_tool(tool) for tool in tools.TOOLS),
    )
    absent = tools.missing(tool.program for tool in tools.TOOLS)
    return Examination(
        can_build=any(engine.level != "missing" for engine in engines),
        findings=found,
        install=tools.install_hint(absent),
    )


def _good(group: Group, name: str, detail: str) -> Finding:
    return Finding(group, name, "good", detail)


def _poor(group: Group, name: str, detail: str, remedy: str = "") -> Finding:
    return Finding(group, name, "poor", detail, remedy)


def _missing(group: Group, name: str, detail: str, remedy: str = "") -> Finding:
    return Finding(group, name, "missing", detail, remedy)


def _direct() -> Finding:
    from bakery.image.engines import direct

    obstacle = direct.why_not()
    if obstacle:
        return _missing("engines", "direct", obstacle)
    if sandbox.available():
        return _good("engines", "direct", "reads images without a VM, in a bubblewrap cage")
    detail = "reads images without a VM, but only --unconfined: bubblewrap does not work here"
    return _poor("engines", "direct", detail)


def _guestfs(root: Path) -> Finding:
    absent = tools.missing(["guestfish", "qemu-img"])
    if absent:
        detail = f"{', '.join(absent)} not installed"
        return _missing("engines", "guestfs", detail, tools.install_hint(absent))
    if os.environ.get("LIBGUESTFS_PATH") or os.environ.get("SUPERMIN_KERNEL"):
        detail = "reads and edits any filesystem in the appliance the environment names"
        return _good("engines", "guestfs", detail)
    return _appliance_kernel(root)


def _appliance_kernel(root: Path) -> Finding:
    """The appliance boots a kernel of this machine, which must be readable (supermin(1))."""
    kernels = sorted(path for pattern in KERNEL_PATTERNS for path in root.glob(pattern))
    readable = [path for path in kernels if os.access(path, os.R_OK)]
    if readable:
        detail = f"reads and edits any filesystem in an appliance VM, kernel {readable[-1].name}"
        return _good("engines", "guestfs", detail)
    if kernels:
        detail, remedy = f"{kernels[-1]} cannot be read", f"sudo chmod a+r {kernels[-1]}"
    else:
        detail, remedy = "there is no kernel in /boot for its appliance", _kernel_line()
    return _missing("engines", "guestfs", detail, remedy)


def _kernel_line() -> str:
    if tools.has_dnf_alone():
        return "sudo dnf install kernel-core"
    return "sudo apt-get install linux-image-amd64"


def _bubblewrap() -> Finding:
    if sandbox.available():
        return _good("confinement", "bubblewrap", "works")
    detail = "does not work here: no image is read without --unconfined"
    remedy = tools.install_hint(tools.missing(["bwrap"]))
    return _poor("confinement", "bubblewrap", detail, remedy)


def _user_namespaces() -> Finding:
    if _succeeds(["unshare", "--user", "--map-root-user", "true"]):
        return _good("confinement", "user namespaces", "can be made")
    remedy = "see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces"
    return _poor("confinement", "user namespaces", "are not permitted here", remedy)


def _fuse() -> Finding:
    if os.access(FUSE_DEVICE, os.R_OK | os.W_OK):
        return _good("confinement", "FUSE", f"{FUSE_DEVICE} opens")
    state = "cannot be opened" if FUSE_DEVICE.exists() else "does not exist"
    remedy = "sudo modprobe fuse; in a container: --device /dev/fuse"
    return _poor("confinement", "FUSE", f"{FUSE_DEVICE} {state}", remedy)


def _acceleration() -> Finding:
    accel = examine(fresh=True)
    if accel.kind == "kvm":
        return _good("guests", "KVM", accel.reason)
    detail = f"guests run without it (TCG), several times slower: {accel.reason}"
    return _poor("guests", "KVM", detail)


def _uefi(name: str, board: Board) -> Finding:
    uefi = find_uefi(board=board)
    if uefi:
        return _good("guests", name, uefi.code.filename)
    rest = "layout disk can only be proved by BIOS" if board.has_bios else "no disk can be proved"
    detail = f"no firmware for {board.processor} guests: {rest}"
    return _poor("guests", name, detail, board.firmware_hint)


def _space(name: str, folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    level = _good if free >= ENOUGH_SPACE_BYTES else _poor
    return level("space", name, f"{free / (1 << 30):.1f} GiB free in {folder}")


def _tool(tool: Tool) -> Finding:
    if tools.find(tool.program) is None:
        return _missing("tools", tool.program, tool.why, tools.install_hint([tool.program]))
    known = "" if tool.program in NO_VERSION else f"{_version(tool.program)}: "
    return _good("tools", tool.program, known + tool.why)


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
