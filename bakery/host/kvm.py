"""Whether KVM really works here: a trial guest runs under it, once per boot of this machine.

`/dev/kvm` that opens proves nothing: in nested and emulated setups guests abort, hang, or run
slower than without it. The trial guest (`kvm_trial.S` is its source) boots from firmware and a
virtio disk, enters long mode, counts, waits for timer interrupts and leaves by a known exit code.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from bakery.host import folders, tools
from bakery.host.errors import BakeryError, UsageError
from bakery.host.run import ending, run, tail

Accel = Literal["kvm", "tcg"]

QEMU = "qemu-system-x86_64"
DEVICE = Path("/dev/kvm")
OVERRIDE = "BAKERY_ACCEL"
TRIAL_SECONDS = 3.0
TRIAL_EXIT_CODE = (0x10 << 1) | 1  # isa-debug-exit: the written value doubled, plus one
CACHE_LIMIT_BYTES = 64 << 10
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)

BOOT_SECTOR = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cbf0010b90018f3abc70600100320c70600200330c706003083000f01"
    "16087d66b8200600000f22e066b8001000000f22d866b9800000c00f320d00010f300f20c024fb66"
    "0d030000800f22c0ea5d7c080066b810008ed88ec08ed0bc007c000031c0bf00400000b910020000"
    "f3aac7042500420000e37c080066c7042504420000008e0f011c250e7d0000b011e620b020e621b0"
    "04e621b001e621b0fee621b034e64330c0e640b010e640f30f6f0425007c0000f30f7f0425005000"
    "00b900000004ffc975fcbb08000000fbf4ffcb75fab010e6f4faf4b020e62048cf0f1f8000000000"
    "000000000000000000000000009a200000000000009200001700f07c00000f020040000000000000"
).ljust(510, b"\0") + bytes([0x55, 0xAA])


class Acceleration(msgspec.Struct, frozen=True):
    """How guests run on this machine, and the reason in words."""

    kind: Accel
    reason: str


def try_guest(
    accel: Accel, seconds: float = TRIAL_SECONDS, sector: bytes = BOOT_SECTOR
) -> Acceleration:
    """Run the trial guest under `accel`; `tcg` with the reason when it does not come through.

    `sector` is what the guest boots.
    """
    with tempfile.TemporaryDirectory(prefix="bakery-kvm-") as folder:
        disk = Path(folder) / "trial.raw"
        disk.write_bytes(sector.ljust(1 << 20, b"\0"))
        try:
            # A QEMU that aborts may leave a core file: it goes with the folder.
            done = run(_trial_argv(accel, disk), timeout=seconds, check=False, cwd=Path(folder))
        except BakeryError as error:
            return Acceleration("tcg", f"a trial guest under {accel} failed: {error.message}")
    if done.returncode == TRIAL_EXIT_CODE:
        return Acceleration(accel, f"a trial guest ran under {accel}")
    words = _complaint(done.stderr)
    reason = f"{QEMU} {ending(done.returncode)}" + (f": {words}" if words else "")
    return Acceleration("tcg", f"a trial guest under {accel} failed: {reason}")


def acceleration() -> Accel:
    """How to run guests here: `kvm` when a guest has been seen to run under it, else `tcg`.

    The environment variable BAKERY_ACCEL (`tcg` or `kvm`) overrides the trial.
    """
    return examine().kind


def examine(
    *,
    fresh: bool = False,
    device: Path = DEVICE,
    boot_id: Path = BOOT_ID,
    trial: Callable[[Accel], Acceleration] = try_guest,
) -> Acceleration:
    """As `acceleration`, with the reason. `fresh` tries again, whatever the cache says.

    `device` is KVM's, `boot_id` a file that is another after each boot of this machine, `trial`
    what runs a guest.
    Takes up to 3 seconds the first time after a boot of this machine, then milliseconds.
    Raises UsageError when BAKERY_ACCEL is neither `kvm` nor `tcg`.
    """
    override = os.environ.get(OVERRIDE, "")
    if override:
        if override not in ("kvm", "tcg"):
            raise UsageError(f"{OVERRIDE} is {override!r}; it can be 'kvm' or 'tcg'")
        return Acceleration("kvm" if override == "kvm" else "tcg", f"set by {OVERRIDE}")
    obstacle = _obstacle(device)
    if obstacle:
        return Acceleration("tcg", obstacle)
    key = _key(boot_id)
    known = None if fresh else _remembered(key)
    if known:
        return known
    found = trial("kvm")
    _remember(key, found)
    return found


def cache_folder() -> Path:
    """Where bakery keeps what it can find out again (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "bakery"


def _trial_argv(accel: Accel, disk: Path) -> list[str]:
    cpu = "host" if accel == "kvm" else "Nehalem"
    words = [QEMU, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]
    words += ["-machine", f"q35,accel={accel}", "-cpu", cpu, "-m", "64", "-nic", "none"]
    words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    words += ["-drive", f"if=none,id=d,format=raw,read-only=on,file={str(disk).replace(',', ',,')}"]
    return [*words, "-device", "virtio-blk-pci,drive=d"]


def _complaint(stderr: bytes) -> str:
    """The line of QEMU's messages that tells most: its first error, else its last word."""
    lines = tail(stderr).split(" / ")
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return errors[0] if errors else lines[-1].removeprefix(f"{QEMU}: ")


def _obstacle(device: Path) -> str:
    """Why there is nothing to try; empty when there is."""
    if tools.find(QEMU) is None:
        return f"{QEMU} is not installed"
    if not device.exists():
        return f"there is no {device}: no hardware virtualisation, or its kernel module is missing"
    if not os.access(device, os.R_OK | os.W_OK):
        return (
            f"{device} cannot be opened by this user: sudo usermod -aG kvm $USER, then log in again"
        )
    return ""


def _key(boot_id: Path) -> str:
    """What a verdict holds for: this boot of the machine, this QEMU, this trial."""
    program = tools.find(QEMU)
    assert program is not None
    stat = program.stat()
    parts = [str(program), str(stat.st_size), str(stat.st_mtime_ns)]
    with contextlib.suppress(OSError):
        parts.append(boot_id.read_text())
    return hashlib.sha256("\0".join(parts).encode() + BOOT_SECTOR).hexdigest()


def _cache_file() -> Path:
    return cache_folder() / "acceleration.json"


def _remembered(key: str) -> Acceleration | None:
    """The verdict of that key; the file holds the last one, under its key."""
    try:
        with folders.check(_cache_file()).open("rb") as file:
            content = file.read(CACHE_LIMIT_BYTES)
        return msgspec.json.decode(content, type=dict[str, Acceleration]).get(key)
    except (OSError, folders.Untrusted, msgspec.DecodeError, RecursionError):
        return None


def _remember(key: str, found: Acceleration) -> None:
    """Keep the verdict; where nothing can be kept it is found again the next time."""
    path = _cache_file()
    with contextlib.suppress(OSError, folders.Untrusted):
        folders.make(path.parent)
        folders.write_whole(path, msgspec.json.encode({key: found}))
