"""A virtual machine's command line: what QEMU is told, and nothing that depends on a purpose."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bakery.host.errors import BakeryError
from bakery.host.kvm import Accel
from bakery.vm.board import X86_64, Board
from bakery.vm.firmware import Uefi

# The kernel reads no more of its command line (COMMAND_LINE_SIZE; x86: boot protocol 2.06).
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
    `serial` is what the guest can read of its own disk's number, at most 20 characters,
    `sector_bytes` the unit in which the guest addresses it.
    """

    image: Image
    backing: Image | None = None
    lasting: bool = True
    serial: str = ""
    sector_bytes: int = 512


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
            raise BakeryError("the kernel arguments contain control characters")
        if len(text.encode()) > COMMAND_LINE_LIMIT:
            raise BakeryError(
                f"the kernel arguments are longer than {COMMAND_LINE_LIMIT} bytes",
                "the kernel would truncate them",
            )
        return text


@dataclass(frozen=True)
class Machine:
    """The hardware. An empty `cpu` is the host's under KVM, and under TCG the board's own.

    An empty `chipset` is the board's.
    """

    board: Board = X86_64
    memory_mib: int = 2048
    cpus: int = 1
    cpu: str = ""
    chipset: Literal["", "pc"] = ""


@dataclass(frozen=True)
class Guest:
    """What runs on the machine.

    It is booted by its kernel where `linux` is given, else by firmware: BIOS, or `uefi` with
    `variables`, a copy of the firmware's store that belongs to this guest alone.
    `console` is the path of the unix socket QEMU listens at for the serial console, or the number
    of a connected socket it inherits; None: the console is QEMU's standard input and output.
    `restarts` lets QEMU go on where the guest restarts; else that is the end.
    `ssh_port` is a port of this machine's loopback that leads to the guest's port 22, by a network
    card behind which there is nothing else; None: it has none.
    """

    disks: tuple[Disk, ...]
    linux: Linux | None = None
    uefi: Uefi | None = None
    variables: Path | None = None
    console: Path | int | None = None
    restarts: bool = False
    ssh_port: int | None = None


def argv(machine: Machine, guest: Guest, accel: Accel) -> list[str]:
    """The QEMU command: no display, and no network that leads anywhere."""
    words = [machine.board.program, "-no-user-config", "-nodefaults", "-display", "none"]
    words += [] if guest.restarts else ["-no-reboot"]
    words += [*_network(guest.ssh_port), *_sandbox(), *_hardware(machine, guest, accel)]
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
    board = f"{machine.chipset or machine.board.chipset},accel={accel},graphics=off"
    board += ",pflash0=uefi-code,pflash1=uefi-variables" if guest.uefi else ""
    cpu = machine.cpu or ("host" if accel == "kvm" else machine.board.tcg_cpu)
    words = ["-machine", board, "-cpu", cpu, "-smp", str(machine.cpus)]
    words += ["-m", f"{machine.memory_mib}M"]
    return [*words, "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng"]


def _network(ssh_port: int | None) -> list[str]:
    """No network card, or one with a DHCP server and our way in behind it (qemu(1), restrict)."""
    if ssh_port is None:
        return ["-nic", "none"]
    net = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"
    return ["-netdev", net, "-device", "virtio-net-pci,netdev=net,romfile="]


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
    more: dict[str, object] = {"discard": "unmap"}
    more |= {} if disk.lasting else {"cache": {"no-flush": True}}
    if disk.backing:
        more["backing"] = f"{name}-backing"
        words += _image(f"{name}-backing", disk.backing, {"read-only": True})
    words += _image(name, disk.image, more)
    # Boot index 0 is the kernel's, where one is given.
    device = f"virtio-blk-pci,drive={name},bootindex={number + 1}"
    device += f",serial={disk.serial}" if disk.serial else ""
    if disk.sector_bytes != 512:
        device += f",logical_block_size={disk.sector_bytes},physical_block_size={disk.sector_bytes}"
    return [*words, "-device", device]


def _flash(uefi: Uefi, variables: Path | None) -> list[str]:
    if variables is None:
        raise BakeryError("a UEFI guest needs a variable store of its own")
    code = Image(uefi.code.path, uefi.code.format)
    words = _image("uefi-code", code, {"read-only": True})
    return words + _image("uefi-variables", Image(variables, uefi.variables.format))


def _image(name: str, image: Image, more: Mapping[str, object] | None = None) -> list[str]:
    """The block node `name` of an image, by its format, over the node of its file."""
    node = {"driver": image.format, "node-name": name, "file": f"{name}-file", **(more or {})}
    file = {
        "driver": "file",
        "node-name": node["file"],
        "filename": str(image.path),
        "read-only": node.get("read-only", False),
        "discard": "unmap",  # what a guest lets go of becomes a hole
    }
    return ["-blockdev", json.dumps(file), "-blockdev", json.dumps(node)]
