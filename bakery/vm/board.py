"""The machines there are for guests, by the processor that a guest's kernel was made for."""

import platform
from dataclasses import dataclass

from bakery.host.errors import BakeryError
from bakery.host.kvm import QEMU, Acceleration, examine
from bakery.system import architecture

# Stable under TCG, and new enough for systems built for x86-64-v2 (x86-64 psABI). The model number
# is that of the first Atoms: Linux knows that they speculate nothing (cpu_vuln_whitelist in
# arch/x86/kernel/cpu/common.c), as TCG does not, and guards against nothing. A guard that changes
# page tables at each system call makes TCG look up all addresses anew: a fifth of a boot.
TCG_CPU = "Nehalem,model=28"


@dataclass(frozen=True)
class Board:
    """What QEMU makes a machine of.

    `chipset` is QEMU's name for it, and `chipset_release` one of its versions, by which firmware
    says that it serves it; `console` is Linux's name for its first serial port. A boot without KVM
    takes about `slowness` times as long as that of an x86-64 guest does.
    """

    processor: str
    program: str
    chipset: str
    chipset_release: str
    tcg_cpu: str
    console: str
    has_bios: bool
    slowness: float
    firmware_hint: str


X86_64 = Board(
    processor="x86_64",
    program=QEMU,
    chipset="q35",
    chipset_release="pc-q35-9.0",
    tcg_cpu=TCG_CPU,
    console="ttyS0",
    has_bios=True,
    slowness=1.0,
    firmware_hint="sudo apt-get install ovmf (Fedora: sudo dnf install edk2-ovmf)",
)
AARCH64 = Board(
    processor="aarch64",
    program="qemu-system-aarch64",
    chipset="virt",
    chipset_release="virt-9.0",
    tcg_cpu="cortex-a72",  # "max" signs its pointers, which TCG does slowly
    console="ttyAMA0",
    has_bios=False,
    slowness=2.0,
    firmware_hint="sudo apt-get install qemu-efi-aarch64 (Fedora: sudo dnf install edk2-aarch64)",
)
BOARDS = (X86_64, AARCH64)


def board_for(processor: str) -> Board:
    """The machine that runs kernels of a processor, as uname(1) names it; BakeryError if none."""
    for board in BOARDS:
        if architecture.runs(processor, board.processor):
            return board
    known = " and ".join(board.processor for board in BOARDS)
    raise BakeryError(
        f"there is no guest machine here for the processor {processor}", f"there are {known}"
    )


def acceleration_of(board: Board, here: str = "") -> Acceleration:
    """How a guest on that board runs on this machine; `here` is its processor, if not this one's.

    KVM runs guests of the machine's own processor alone.
    """
    here = here or platform.machine()
    if not architecture.runs(board.processor, here):
        return Acceleration("tcg", f"this machine is {here}, the guest {board.processor}")
    return examine()
