"""Mounts that cannot outlive the process that made them.

Everything is mounted in a mount namespace of this thread's own, and every loop device detaches
itself on its last close, so that even SIGKILL leaves neither behind.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

from bakery.host.run import run

# <linux/sched.h> and <linux/mount.h>
CLONE_NEWNS = 0x00020000
MS_REC = 0x4000
MS_SLAVE = 0x80000


@contextlib.contextmanager
def private_mounts() -> Iterator[None]:
    """Give this thread, and the programs it starts, a mount namespace of their own.

    What is unmounted outside goes here too: nobody's disk is kept busy by the copy of its mount.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    directory = Path.cwd()
    with Path("/proc/thread-self/ns/mnt").open("rb") as home:
        _check(libc.unshare(CLONE_NEWNS), "unshare")
        try:
            _check(libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None), "mount")
            yield
        finally:
            _check(libc.setns(home.fileno(), CLONE_NEWNS), "setns")
            os.chdir(directory)  # setns(2) moves a thread to the root of the namespace it joins


@contextlib.contextmanager
def mounted(image: Path, directory: Path, *, options: str = "") -> Iterator[Path]:
    """The filesystem in the file `image`, mounted on `directory` (made if it is not there)."""
    directory.mkdir(exist_ok=True)
    words = ",".join(filter(None, ("loop", options)))
    run(["mount", "-o", words, image, directory])
    try:
        yield directory
    finally:
        run(["umount", directory], timeout=300)


@contextlib.contextmanager
def loop_device(image: Path, offset_bytes: int, size_bytes: int) -> Iterator[str]:
    """A block device over a range of the file `image`.

    Detaching a device that is held open only marks it to go with its last close (loop(4),
    LO_FLAGS_AUTOCLEAR): whoever holds it, the kernel cleans up.
    """
    place = ("--offset", str(offset_bytes), "--sizelimit", str(size_bytes))
    device = run(["losetup", "--find", "--show", *place, image]).text.strip()
    held = os.open(device, os.O_RDWR)
    try:
        run(["losetup", "--detach", device])
        yield device
    finally:
        os.close(held)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
