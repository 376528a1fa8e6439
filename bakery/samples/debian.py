"""The operating system tree: Debian packages, unpacked by debootstrap and left small.

debootstrap works in two stages; between them the list of packages is corrected and dpkg told
what to leave out.
"""

from collections.abc import Iterable
from pathlib import Path

from bakery.host.run import run
from bakery.samples.apt_source import machine_mirror, proxies
from bakery.samples.enclosure import run_enclosed, run_inside

VERSION = 1
SUITE = "bookworm"
INCLUDED = (
    "btrfs-progs",
    "dbus",
    "dracut",
    "e2fsprogs",
    "iproute2",
    "kmod",
    "linux-image-amd64",
    "lvm2",
    "ostree",
    "ostree-boot",
    "procps",
    "systemd-sysv",
    "udev",
    "xfsprogs",
    "zstd",
)
# debootstrap resolves "initramfs-tools | linux-initramfs-tool" to its first choice; dracut
# is the one that knows OSTree, and the two conflict.
DISPLACED = ("initramfs-tools", "initramfs-tools-core", "klibc-utils", "libklibc")
# Documentation, and the drivers a server without screen, sound or radio has no use for (Fedora's
# cloud image does not carry its kernel-modules package either): each would be one more thing to
# load before the login prompt.
LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/bash-completion/*",
    "/lib/modules/*/kernel/sound/*",
    *(
        f"/lib/modules/*/kernel/drivers/{name}/*"
        for name in (
            *("bluetooth", "gpu", "infiniband", "isdn", "media"),
            *("net/wireless", "parport", "staging", "watchdog"),
        )
    ),
    *(
        f"/lib/modules/*/kernel/drivers/input/{name}/*"
        for name in ("joystick", "misc", "mouse", "tablet", "touchscreen")
    ),
    *(f"/lib/modules/*/kernel/net/{name}/*" for name in ("bluetooth", "mac80211", "wireless")),
)
HOOK = "etc/kernel/postinst.d/dracut"
DPKG_SETTINGS = "etc/dpkg/dpkg.cfg.d/sample"
FETCH_TIMEOUT_SECONDS = 1800
UNPACK_TIMEOUT_SECONDS = 1800


def recipe() -> list[object]:
    """What decides the content of the tree (the state of the mirror apart)."""
    return ["debian", VERSION, SUITE, INCLUDED, DISPLACED, LEFT_OUT]


def fetch(tree: Path) -> None:
    """First stage: download and verify every package, unpack the essential ones."""
    download(tree, "amd64", INCLUDED)
    _drop_displaced(tree / "debootstrap" / "base")
    _write_dpkg_settings(tree)


def download(tree: Path, architecture: str, included: Iterable[str]) -> None:
    """debootstrap's first stage alone: it downloads, and runs nothing of what it downloads."""
    run_enclosed(
        [
            "debootstrap",
            "--foreign",
            "--variant=minbase",
            "--force-check-gpg",
            f"--arch={architecture}",
            f"--include={','.join(included)}",
            SUITE,
            tree,
            machine_mirror(SUITE),
        ],
        env=proxies(),
        timeout=FETCH_TIMEOUT_SECONDS,
    )
    _make_mount_points(tree)


def unpack(tree: Path) -> None:
    """Second stage: install everything, then remove what only the installation needed."""
    # The kernel's and dracut's package scripts call this hook; the initramfs is made later, once.
    hook = tree / HOOK
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    run_inside(tree, ["/debootstrap/debootstrap", "--second-stage"], timeout=UNPACK_TIMEOUT_SECONDS)
    for file in (HOOK, DPKG_SETTINGS):
        (tree / file).unlink()
    remove_leftovers(tree)


def kernel_version(tree: Path) -> str:
    """The version of the one kernel in `tree`."""
    (modules,) = (tree / "usr/lib/modules").iterdir()
    return modules.name


def remove_leftovers(tree: Path) -> None:
    """The first stage unpacks without dpkg's filters, so their targets go by hand."""
    patterns = [
        *("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"),
        *(f"usr/share/{name}/*" for name in ("doc", "man", "info", "locale")),
    ]
    run(["rm", "-rf", "--", *(path for pattern in patterns for path in tree.glob(pattern))])


def _make_mount_points(tree: Path) -> None:
    """In a container debootstrap leaves /proc as a symbolic link to the outer one."""
    for name in ("proc", "sys", "dev", "run"):
        directory = tree / name
        if directory.is_symlink():
            directory.unlink()
        directory.mkdir(exist_ok=True)


def _drop_displaced(base_list: Path) -> None:
    kept = [name for name in base_list.read_text().split() if name not in DISPLACED]
    base_list.write_text(" ".join(kept) + "\n")


def _write_dpkg_settings(tree: Path) -> None:
    lines = ["force-unsafe-io", *(f"path-exclude={pattern}" for pattern in (*LEFT_OUT, "/" + HOOK))]
    settings = tree / DPKG_SETTINGS
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text("\n".join(lines) + "\n")
