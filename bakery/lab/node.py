"""What a node of the lab is made of, and the QEMU command that is the node while it is on."""

import uuid
from dataclasses import dataclass
from pathlib import Path

from bakery.host.errors import UsageError
from bakery.host.kvm import Accel
from bakery.lab.drive import DRIVE_ID
from bakery.lab.state import NODE_PREFIX, BootDevice, Firmware, NicModel
from bakery.vm.firmware import Uefi
from bakery.vm.machine import Disk, Guest, Image, Machine, argv

MOST_NODES = 64
SMALLEST_DISK_BYTES = 1 << 20
LARGEST_DISK_BYTES = 64 << 40
UNITS = {"": 0, "B": 0, "K": 10, "M": 20, "G": 30, "T": 40}
# QEMU's inherited ends of sockets that the keeper holds: standard input and standard output.
CONSOLE_DESCRIPTOR = 0
MONITOR_DESCRIPTOR = 1
NIC_ID = "nic"
NIC_DEVICES = {"virtio": "virtio-net-pci", "e1000": "e1000"}
# The disk has boot index 1. What is left of the list is tried next, as real firmware does.
LATER: dict[str, int] = {NIC_ID: 8, DRIVE_ID: 9}
FIRST: dict[BootDevice, str] = {"network": NIC_ID, "cd": DRIVE_ID}


@dataclass(frozen=True)
class Hardware:
    """A node's parts; `number` counts from 1."""

    number: int
    uuid: uuid.UUID
    firmware: Firmware = "bios"
    nic: NicModel = "virtio"
    disk_bytes: int = 10 << 30
    memory_mib: int = 2048
    cpus: int = 1

    @property
    def name(self) -> str:
        """`node-N`."""
        return f"{NODE_PREFIX}{self.number}"

    @property
    def mac(self) -> str:
        """The address of its one network card, in QEMU's range."""
        return f"52:54:00:4c:00:{self.number:02x}"


class Files:
    """The files of one node, all in a folder of its own.

    The disk's bytes, sparse; the UEFI variable store; what the serial console printed since the
    lab is up; what QEMU had to say since the node was switched on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk.raw"
        self.variables = folder / "variables.fd"
        self.console = folder / "console.log"
        self.messages = folder / "qemu.log"


def disk_size(text: str) -> int:
    """A disk's size in bytes from words such as `10G` (powers of 1024); UsageError if none."""
    number = text.upper().removesuffix("IB").rstrip("BKMGT")
    unit = text.upper().removesuffix("IB")[len(number) :]
    if not number.isascii() or not number.isdigit() or unit not in UNITS or len(number) > 18:
        raise UsageError(f"'{text}' is not the size of a disk", "for example 10G")
    size = int(number) << UNITS[unit]
    if not SMALLEST_DISK_BYTES <= size <= LARGEST_DISK_BYTES or size % 512:
        raise UsageError(
            f"a disk of {text} cannot be had", "from 1M to 64T, in whole sectors of 512 bytes"
        )
    return size


def boot_order(boot: BootDevice) -> dict[str, int]:
    """The places of a node's removable devices, where `boot` is tried first, the last ones first.

    Who changes them one by one has to go in this order: no two may have the same place.
    """
    first = FIRST.get(boot, "")
    order = {device: 0 if device == first else place for device, place in LATER.items()}
    return dict(sorted(order.items(), key=lambda pair: -pair[1]))


def qemu(
    hardware: Hardware,
    files: Files,
    *,
    tap: str,
    boot: BootDevice,
    accel: Accel,
    uefi: Uefi | None,
    paused: bool,
) -> list[str]:
    """The command of a node that tries `boot` first; its CD drive is empty.

    A `paused` one begins when its monitor is told to. Its console is at descriptor 0 and its
    monitor (QMP) at descriptor 1, both connected sockets. It has no power of root's: the tap is
    its user's own.
    """
    guest = Guest(
        disks=(Disk(Image(files.disk), serial=hardware.name),),
        uefi=uefi,
        variables=files.variables if uefi else None,
        console=CONSOLE_DESCRIPTOR,
        restarts=True,
    )
    words = argv(Machine(memory_mib=hardware.memory_mib, cpus=hardware.cpus), guest, accel)
    words += ["-name", hardware.name, "-uuid", str(hardware.uuid)]
    words += ["-chardev", f"socket,id=monitor,fd={MONITOR_DESCRIPTOR}"]
    words += ["-mon", "chardev=monitor,mode=control"]
    words += ["-netdev", f"tap,id=cable,ifname={tap},script=no,downscript=no"]
    order = boot_order(boot)
    card = f"{NIC_DEVICES[hardware.nic]},id={NIC_ID},netdev=cable,mac={hardware.mac}"
    words += ["-device", f"{card},bootindex={order[NIC_ID]}"]
    words += ["-device", f"ide-cd,id={DRIVE_ID},bootindex={order[DRIVE_ID]}"]
    words += ["-S"] if paused else []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--", *words]
