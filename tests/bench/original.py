"""The pipeline of 2014, step by step as its script had it, by today's versions of its programs.

    guestmount /boot and the root         kernel and ramdisk copied, `grep -v boot` over the fstab
    qemu-img convert                      the whole disk, raw
    dd                                    the partition out of it, in blocks of 512 bytes

Each filesystem is mounted by an appliance of its own, as there, but one after the other: QEMU locks
an image now. The fstab is edited in the image itself, so a copy is what it works on.
"""

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.meter import measure
from tests.build.scrub import planted

START, SIZE = 315621376, 6126829568  # the sample's second partition, in bytes
SECTOR = 512
BOOT, ROOT = "/dev/sda1", "/dev/atomicos/root"
UNMOUNT_SECONDS = 300


class Original(NamedTuple):
    """Seconds: of kernel, ramdisk and fstab; of the two copies; until these were on the disk."""

    files: float
    copies: float
    flush: float

    @property
    def whole(self) -> float:
        """Until the script ended, which waits for no disk."""
        return self.files + self.copies


def run(image: Path, work: Path) -> Original:
    """The whole of it once; leaves nothing behind."""
    with _scratch(work / "original") as folder:
        own = folder / "image.qcow2"
        shutil.copyfile(image, own)
        os.sync()
        started = time.perf_counter()
        _take_files(own, folder)
        files = time.perf_counter() - started
        copies = _copy(own, folder)
        started = time.perf_counter()
        os.sync()
        return Original(files, copies, time.perf_counter() - started)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _take_files(image: Path, folder: Path) -> None:
    with _mounted(image, BOOT, folder / "boot") as boot:
        (kernel,) = boot.glob("ostree/*/vmlinuz-*")
        (ramdisk,) = boot.glob("ostree/*/initramfs-*")
        shutil.copyfile(kernel, folder / "fedora-atomic-kernel")
        shutil.copyfile(ramdisk, folder / "fedora-atomic-ramdisk")
    with _mounted(image, ROOT, folder / "root") as root:
        (fstab,) = root.glob("ostree/deploy/*/deploy/*.0/etc/fstab")
        lines = fstab.read_text().splitlines(keepends=True)
        fstab.write_text("".join(line for line in lines if "boot" not in line))


def _copy(image: Path, folder: Path) -> float:
    raw, base = folder / "fedora-atomic.raw", folder / "fedora-atomic-base"
    place = [f"bs={SECTOR}", f"skip={START // SECTOR}", f"count={SIZE // SECTOR}"]
    convert = measure(["qemu-img", "convert", "-O", "raw", image, raw])
    return convert.seconds + measure(["dd", f"if={raw}", f"of={base}", *place]).seconds


@contextlib.contextmanager
def _mounted(image: Path, device: str, folder: Path) -> Iterator[Path]:
    """A filesystem by guestmount(1); what was changed is in the image when the block has ended."""
    folder.mkdir()
    note = folder.with_suffix(".pid")
    words: list[str | Path] = ["-a", image, "-m", device, "--pid-file", note, folder]
    subprocess.run(["guestmount", *words], check=True, env=planted.environment())
    try:
        yield folder
    finally:
        subprocess.run(["guestunmount", folder], check=True)
        _wait_for(int(note.read_text()))


def _wait_for(pid: int) -> None:
    """guestmount goes on for a while behind the unmount (guestmount(1), "Race conditions")."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        ended, _, _ = select.select([process], [], [], UNMOUNT_SECONDS)
        os.close(process)
        if not ended:
            raise RuntimeError(f"guestmount {pid} does not end")
