"""A virtual machine's command line: what QEMU is told, and nothing that depends on a purpose."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakery.errors import BakeryError
from bakery.firmware import Uefi
from bakery.kvm import QEMU, Accel, Acceleration, acceleration, examine

__all__ = [
    "QEMU",
    "Accel",
    "Acceleration",
    "Disk",
    "Guest",
    "Image",
    "Linux",
    "Machine",
    "acceleration",
    "argv",
    "examine",
]

# Stable under TCG, and new enough for systems built for x86-64-v2 (x86-64 psABI). The model number
# is that of the first Atoms: Linux knows that they speculate nothing (cpu_vuln_whitelist in
# arch/x86/kernel/cpu/common.c), as TCG does not, and guards against nothing. A guard that changes
# page tables at each system call makes TCG look up all addresses anew: a fifth of a boot.
TCG_CPU = "Nehalem,model=28"
# The kernel reads no more of its command line (x86: COMMAND_LINE_SIZE, boot protocol 2.06).
COMMAND_LINE_LIMIT = 2047


@dataclass(frozen=True)
class Image:
    """A disk image file and its format, which QEMU is never left to guess."""

    path: Path
    format: Literal["raw", "qcow2", "vmdk"] = "raw"


@dataclass(frozen=True)
class Disk:
    """A virtio disk: `image` is written, `backing` (if any) is what it lies over, read-only.

    `lasting` is False for a disk nobody reads after the guest: its flushes are not carried out.
    `serial` is what the guest can read of its own disk's number, at most 20 characters.
    """

    image: Image
    backing: Image | None = None
    lasting: bool = True
    serial: str = ""


@dataclass(frozen=True)
class Linux:
    """A kernel to start directly, as a network boot loader would."""

    kernel: Path
    initrd: Path | None
    args: tuple[str, ...]

    @property
    def command_line(self) -> str:
        """The kernel's command line; BakeryError when the kernel would not get it as it is."""
        text = " ".join(self.args)
        if not text.isprintable():
            raise BakeryError("the kernel arguments hold control characters")
        if len(text.encode()) > COMMAND_LINE_LIMIT:
            raise BakeryError(
                f"the kernel arguments are longer than {COMMAND_LINE_LIMIT} bytes",
                "the kernel would cut them",
            )
        return text


@dataclass(frozen=True)
class Machine:
    """The hardware. An empty `cpu` is the host's under KVM, and TCG_CPU under TCG."""

    memory_mib: int = 2048
    cpus: int = 1
    cpu: str = ""
    chipset: Literal["q35", "pc"] = "q35"


@dataclass(frozen=True)
class Guest:
    """What runs on the machine.

    It is booted by its kernel where `linux` is given, else by firmware: BIOS, or `uefi` with
    `variables`, a copy of the firmware's store that belongs to this guest alone.
    `console` is the path of the unix socket QEMU listens at for the serial console, or the number
    of a connected socket it inherits; None: the console is QEMU's standard input and output.
    `restarts` lets QEMU go on where the guest restarts; else that is the end.
    """

    disks: tuple[Disk, ...]
    linux: Linux | None = None
    uefi: Uefi | None = None
    variables: Path | None = None
    console: Path | int | None = None
    restarts: bool = False


def argv(machine: Machine, guest: Guest, accel: Accel) -> list[str]:
    """The QEMU command: no display and no network."""
    words = [QEMU, "-no-user-config", "-nodefaults", "-display", "none"]
    words += [] if guest.restarts else ["-no-reboot"]
    words += ["-nic", "none", *_sandbox(), *_hardware(machine, guest, accel)]
    words += _console(guest.console)
    for number, disk in enumerate(guest.disks):
        words += _disk(number, disk)
    if guest.uefi:
        words += _flash(guest.uefi, guest.variables)
    if guest.linux:
        words += ["-kernel", str(guest.linux.kernel), "-append", guest.linux.command_line]
        words += ["-initrd", str(guest.linux.initrd)] if guest.linux.initrd else []
    return words


def _sandbox() -> list[str]:
    """A seccomp filter: a guest that breaks out of its devices starts nothing (qemu(1))."""
    denied = ("obsolete", "elevateprivileges", "spawn", "resourcecontrol")
    return ["-sandbox", ",".join(["on", *(f"{name}=deny" for name in denied)])]


def _hardware(machine: Machine, guest: Guest, accel: Accel) -> list[str]:
    # graphics=off makes the BIOS, and what prints through it, talk on the serial port.
    board = f"{machine.chipset},accel={accel},graphics=off"
    board += ",pflash0=uefi-code,pflash1=uefi-variables" if guest.uefi else ""
    cpu = machine.cpu or ("host" if accel == "kvm" else TCG_CPU)
    words = ["-machine", board, "-cpu", cpu, "-smp", str(machine.cpus)]
    words += ["-m", f"{machine.memory_mib}M"]
    return [*words, "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"]


def _console(place: Path | int | None) -> list[str]:
    backend = "stdio,id=console,signal=off"
    if isinstance(place, int):
        backend = f"socket,id=console,fd={place}"
    elif place:
        backend = f"socket,id=console,server=on,wait=off,path={str(place).replace(',', ',,')}"
    return ["-chardev", backend, "-serial", "chardev:console"]


def _disk(number: int, disk: Disk) -> list[str]:
    name = f"disk{number}"
    words = []
    node: dict[str, object] = {"driver": disk.image.format, "node-name": name}
    if disk.backing:
        under = f"{name}-backing"
        words += _file(f"{under}-file", disk.backing.path, read_only=True)
        words += _blockdev(
            {
                "driver": disk.backing.format,
                "node-name": under,
                "file": f"{under}-file",
                "read-only": True,
            }
        )
        node["backing"] = under
    words += _file(f"{name}-file", disk.image.path)
    node |= {"file": f"{name}-file", "discard": "unmap"}
    node |= {} if disk.lasting else {"cache": {"no-flush": True}}
    words += _blockdev(node)
    # Boot index 0 is the kernel's, where one is given.
    device = f"virtio-blk-pci,drive={name},bootindex={number + 1}"
    device += f",serial={disk.serial}" if disk.serial else ""
    return [*words, "-device", device]


def _flash(uefi: Uefi, variables: Path | None) -> list[str]:
    if variables is None:
        raise BakeryError("a UEFI guest needs a variable store of its own")
    words = _file("uefi-code-file", uefi.code.path, read_only=True)
    words += _blockdev(
        {
            "driver": uefi.code.format,
            "node-name": "uefi-code",
            "file": "uefi-code-file",
            "read-only": True,
        }
    )
    words += _file("uefi-variables-file", variables)
    return words + _blockdev(
        {
            "driver": uefi.variables.format,
            "node-name": "uefi-variables",
            "file": "uefi-variables-file",
        }
    )


def _file(node: str, path: Path, *, read_only: bool = False) -> list[str]:
    return _blockdev(
        {
            "driver": "file",
            "node-name": node,
            "filename": str(path),
            "read-only": read_only,
            "discard": "unmap",  # what a guest lets go of becomes a hole
        }
    )


def _blockdev(options: dict[str, object]) -> list[str]:
    return ["-blockdev", json.dumps(options)]
