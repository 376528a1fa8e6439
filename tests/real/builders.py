"""Image builders of Debian's archive, run as their users run them, each to a raw disk.

They want udev and device-mapper. `stand_ins`, in front of kpartx and chroot, do without: partx(8)
tells the kernel of partitions, and filesystems get the links that udev would make.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bakery.host.run import Arg, CommandFailed, run
from bakery.samples.apt_source import machine_mirror, proxies
from bakery.samples.debian import SUITE
from bakery.samples.enclosure import run_enclosed
from bakery.samples.settings import SAMPLE_PASSWORD

STAND_INS = Path(__file__).with_name("stand_ins")
FAI_EXAMPLE = Path("/usr/share/doc/fai-doc/examples/simple")
FAI_CLASSES = "FAIBASE,DEBIAN,AMD64,GRUB_PC,CLOUD"
FAI_NO_SERVER = 1  # its last task tells an install server of the end, and there is none
BUILD_TIMEOUT_SECONDS = 3600

# What the example lacks: a console that can be watched, a password that is known, and, where no
# udev runs, the link without which GRUB's menu names the root by its device.
FAI_SCRIPT = f"""\
#! /bin/bash
ainsl /etc/default/grub 'GRUB_CMDLINE_LINUX="console=ttyS0"'
echo 'root:{SAMPLE_PASSWORD}' | $ROOTCMD chpasswd
device=$(findmnt --noheadings --output SOURCE $target)
mkdir -p /dev/disk/by-uuid
ln -sf $device /dev/disk/by-uuid/$(blkid -p -o value -s UUID $device)
$ROOTCMD update-grub
"""

VMDB2_SPEC = """\
steps:
  - mkimg: "{{{{ output }}}}"
    size: 2G
  - mklabel: msdos
    device: "{{{{ output }}}}"
  - mkpart: primary
    device: "{{{{ output }}}}"
    start: 1M
    end: 100%
    tag: root
  - kpartx: "{{{{ output }}}}"
  - mkfs: ext4
    partition: root
  - mount: root
  - debootstrap: {suite}
    mirror: {mirror}
    target: root
  - apt: install
    packages: [linux-image-amd64]
    tag: root
  - fstab: root
  - chroot: root
    shell: |
      echo root:{password} | chpasswd
  - grub: bios
    tag: root
    console: serial
"""


@dataclass(frozen=True)
class Builder:
    """How an image is built: the program that has to be there, and its run.

    `run` is given an empty folder, and the name (*.raw) of the disk that is to appear in it.
    """

    program: str
    run: Callable[[Path, Path], None]

    @property
    def installed(self) -> bool:
        """Whether this machine has it."""
        return shutil.which(self.program) is not None


def fai(work: Path, disk: Path) -> None:
    """fai-diskimage on the configuration that its documentation brings."""
    space = work / "config"
    shutil.copytree(FAI_EXAMPLE, space, symlinks=True)
    script = space / "scripts/CLOUD/90-bakery"
    script.write_text(FAI_SCRIPT)
    script.chmod(0o755)
    words = ("-u", "demohost", "-S", "3G", "-c", FAI_CLASSES, "-s", space)
    try:
        _build(work, "fai-diskimage", *words, disk)
    except CommandFailed as error:
        if error.returncode != FAI_NO_SERVER:
            raise


def openstack_debian_images(work: Path, disk: Path) -> None:
    """build-openstack-debian-image, by BIOS."""
    mirror = machine_mirror(SUITE)
    words = ("-r", SUITE, "-m", "-u", mirror, "-s", mirror, "-p", SAMPLE_PASSWORD, "-is", "3")
    _build(work, "build-openstack-debian-image", *words, "--no-qcow2")
    (made,) = work.glob("*.raw")
    made.rename(disk)


def vmdb2(work: Path, disk: Path) -> None:
    """vmdb2, after the example of its manual."""
    spec = work / "spec.yaml"
    mirror = machine_mirror(SUITE)
    spec.write_text(VMDB2_SPEC.format(suite=SUITE, mirror=mirror, password=SAMPLE_PASSWORD))
    _build(work, "vmdb2", "--output", disk, spec)


def _build(work: Path, *argv: Arg) -> None:
    """Run a builder in `work`; what it starts ends with it, and its loop devices are let go."""
    env = proxies() | {"PATH": f"{STAND_INS}:{os.environ['PATH']}"}
    try:
        run_enclosed(["env", "-C", work, *argv], env=env, timeout=BUILD_TIMEOUT_SECONDS)
    finally:
        for disk in work.glob("*.raw"):
            _let_go(disk)


def _let_go(disk: Path) -> None:
    """Detach what a builder that failed has left attached, and take the links to it away."""
    loops = run(["losetup", "--noheadings", "--output", "NAME", "--associated", disk]).text.split()
    for loop in loops:
        run(["partx", "--delete", loop], check=False)
        run(["losetup", "--detach", loop])
    for folder in (Path("/dev/mapper"), Path("/dev/disk/by-uuid")):
        for link in folder.glob("*"):
            if link.is_symlink() and not link.exists():
                link.unlink()


BUILDERS = {
    "fai-diskimage": Builder("fai-diskimage", fai),
    "openstack-debian-images": Builder("build-openstack-debian-image", openstack_debian_images),
    "vmdb2": Builder("vmdb2", vmdb2),
}
