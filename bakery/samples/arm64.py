"""Debian for arm64, made where no arm64 program can run.

The packages are unpacked, and no script of theirs is run: the little that a boot needs of what
those would have set up is written here, and the initramfs and GRUB's program are put together of
their files. So the system's package database calls every package "unpacked".
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bakery.host.run import Arg, run
from bakery.node.ramdisk import cpio
from bakery.samples import bootloader, debian, settings
from bakery.samples.enclosure import run_enclosed

VERSION = 1
ARCHITECTURE = "arm64"
INCLUDED = (
    "busybox-static",
    "e2fsprogs",
    "grub-efi-arm64-bin",
    "iproute2",
    "kmod",
    "linux-image-arm64",
    "procps",
    "systemd-sysv",
    "udev",
)
# It waits for dbus, whose user a script makes.
MASKED_UNITS = ("systemd-logind.service",)
# What pam-auth-update(8) makes of Debian's profiles where there are no others.
PAM = {
    "auth": "auth required pam_unix.so nullok",
    "account": "account required pam_unix.so",
    "password": "password required pam_unix.so yescrypt",
    "session": "session required pam_unix.so",
    "session-noninteractive": "session required pam_unix.so",
}
COPIED = {  # what base-passwd, libc-bin and base-files copy
    "usr/share/base-passwd/passwd.master": "etc/passwd",
    "usr/share/base-passwd/group.master": "etc/group",
    "usr/share/libc-bin/nsswitch.conf": "etc/nsswitch.conf",
    "usr/share/base-files/profile": "etc/profile",
}
DISK_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
WAIT_SECONDS = 30
INIT = f"""\
#!/busybox sh
# Mounts the filesystem that root= names, and becomes its init.
/busybox mkdir -p /dev /proc /sys /root /bin
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do insmod "$module"; done
for word in $(cat /proc/cmdline); do
  case $word in root=*) root=${{word#root=}} ;; esac
done
case $root in
  UUID=* | LABEL=*) find=findfs ;;
  *) find=echo ;;
esac
waited=0
until device=$($find "$root" 2>/dev/null) && [ -b "$device" ]; do
  if [ $waited -eq {WAIT_SECONDS} ]; then
    echo "ALERT!  $root does not exist.  Dropping to a shell!"
    exec sh
  fi
  waited=$((waited + 1))
  sleep 1
done
mount -t ext4 -o ro "$device" /root
mount --move /dev /root/dev
umount /proc /sys
exec switch_root /root /sbin/init
"""
BOOT_PROGRAM = "grubaa64.efi"
"""GRUB's program, beside the tree."""
UNPACK_SECONDS = 300


def recipe() -> list[object]:
    """What decides the content of the layer (the state of the mirror apart)."""
    masked = (MASKED_UNITS, settings.MASKED_UNITS, settings.MASKED_GENERATORS)
    own = [VERSION, INCLUDED, masked, PAM, COPIED, DISK_MODULES, INIT, repr(bootloader.ARM64)]
    return ["arm64", debian.SUITE, debian.LEFT_OUT, *own, settings.recipe()]


def fetch(tree: Path) -> None:
    """Download and verify every package."""
    debian.download(tree, ARCHITECTURE, INCLUDED)


def unpack(tree: Path, scratch: Path) -> None:
    """Put the packages' files in their places, and what a boot needs beside them."""
    records = [_unpack(package, tree, scratch) for package in _packages(tree)]
    (tree / "var/lib/dpkg/status").write_text("\n".join(records))
    debian.remove_leftovers(tree)
    run(["rm", "-rf", "--", tree / "debootstrap"])
    _settle(tree)
    version = debian.kernel_version(tree)
    run(["depmod", "--basedir", tree, version], timeout=UNPACK_SECONDS)
    (tree / f"boot/initrd.img-{version}").write_bytes(b"".join(cpio.pack(initramfs(tree))))
    bootloader.write_program(
        tree.parent / BOOT_PROGRAM, bootloader.ARM64, tree / bootloader.ARM64.modules_folder
    )


def initramfs(tree: Path) -> dict[str, cpio.Member]:
    """busybox, the modules of a virtio disk and ext4 in the order to load them, and `init`."""
    folder = tree / "usr/lib/modules" / debian.kernel_version(tree)
    files = {
        f"modules/{number:02}-{path.name}": cpio.file(path.read_bytes())
        for number, path in enumerate(_modules(folder))
    }
    busybox = (tree / "usr/bin/busybox").read_bytes()
    files["busybox"] = cpio.file(busybox, executable=True)
    files["init"] = cpio.file(INIT.encode(), executable=True)
    files["dev/console"] = cpio.character_device(5, 1)  # before devtmpfs is there
    return files


def _modules(folder: Path) -> Iterator[Path]:
    """DISK_MODULES and what they need, which comes before them (modules.dep(5))."""
    needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        needs[path] = needed.split()
    names = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    ordered: dict[str, None] = {}
    for name in DISK_MODULES:
        # "A module's dependencies are listed in the order to be loaded, from right to left".
        ordered |= dict.fromkeys([*reversed(needs[names[name]]), names[name]])
    return (folder / path for path in ordered)


def _packages(tree: Path) -> list[Path]:
    return sorted((tree / "var/cache/apt/archives").glob("*.deb"))


def _unpack(package: Path, tree: Path, scratch: Path) -> str:
    """Unpack one; its record for dpkg's database."""
    content = scratch / "package.tar"
    with content.open("wb") as file:

        def keep(piece: bytes) -> None:
            file.write(piece)

        run(["dpkg-deb", "--fsys-tarfile", package], on_stdout=keep, timeout=UNPACK_SECONDS)
    # Links to folders stay: /bin is one.
    words: list[Arg] = ["tar", "--extract", "--keep-directory-symlink", "--directory", tree]
    words += [f"--exclude=.{pattern}" for pattern in debian.LEFT_OUT]
    run_enclosed([*words, "--file", content], timeout=UNPACK_SECONDS)
    content.unlink()
    control = run(["dpkg-deb", "--field", package]).text
    return re.sub(r"^(Package: .*)$", r"\1\nStatus: install ok unpacked", control, flags=re.M)


def _settle(tree: Path) -> None:
    for source, target in COPIED.items():
        (tree / target).write_bytes((tree / source).read_bytes())
    for name, line in PAM.items():
        (tree / f"etc/pam.d/common-{name}").write_text(f"{line}\n")
    settings.write(tree)
    settings.mask(tree, MASKED_UNITS)
    _write_shadow(tree / "etc")


def _write_shadow(etc: Path) -> None:
    """A password for root, and none for the others (shadow(5))."""
    given = settings.SAMPLE_PASSWORD.encode()
    secret = run(["openssl", "passwd", "-6", "-salt", "sample", "-stdin"], stdin=given).text.strip()
    names = [line.partition(":")[0] for line in (etc / "passwd").read_text().splitlines()]
    passwd = re.sub(r"^(\w[\w-]*):\*:", r"\1:x:", (etc / "passwd").read_text(), flags=re.M)
    (etc / "passwd").write_text(passwd)
    lines = [f"{name}:{secret if name == 'root' else '*'}:20000:0:99999:7:::\n" for name in names]
    (etc / "shadow").touch(mode=0o640)
    (etc / "shadow").write_text("".join(lines))
