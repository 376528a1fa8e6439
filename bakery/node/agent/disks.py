"""The disks of the node, as sysfs tells them (Linux, Documentation/ABI/*/sysfs-block)."""

import os
import time
from typing import NamedTuple

SECTOR = 512  # the unit of /sys/block/*/size, whatever the disk's own
# Not disks: memory, files, other block devices under another name, optical and floppy drives.
OTHERS = ("ram", "loop", "zram", "nbd", "dm-", "md", "sr", "fd", "mtdblock", "pmem", "drbd")
TYPE_DISK = "0"  # SCSI peripheral device type: direct access block device (SPC-4, 6.4.2)
PAGE_SERIAL_HEADER = 4  # bytes before the number in VPD page 0x80 (SPC-4, 7.8.15)
TEXT_LIMIT = 4096
DISK_SECONDS = 60.0  # for a disk to appear
SETTLE_SECONDS = 1.0  # without another one, before all of them are there
POLL_SECONDS = 0.1


class Disk(NamedTuple):
    """One disk. Texts are stripped, and empty where it does not tell; `size` is bytes.

    `sector` is the unit that its partition tables count in, in bytes.
    """

    name: str
    size: int
    rotational: bool
    model: str = ""
    vendor: str = ""
    serial: str = ""
    wwn: str = ""
    hctl: str = ""
    by_path: str = ""
    sector: int = SECTOR

    @property
    def device(self) -> str:
        """The device file."""
        return f"/dev/{self.name}"

    def __str__(self) -> str:
        known = [text for text in (self.vendor, self.model, self.serial) if text]
        return f"{self.device} ({' '.join([f'{self.size / (1 << 30):.4g} GiB', *known])})"


class Arrivals:
    """The disks of a node whose drivers are loaded: some adapters take seconds to find theirs."""

    def __init__(self, sys: str = "/sys") -> None:
        self._sys = sys
        self._found = find(sys)
        self._began = self._changed = time.monotonic()

    def wait(self, patience: float = DISK_SECONDS, settle: float = SETTLE_SECONDS) -> list[Disk]:
        """All of them, once `settle` seconds have brought no change; those before count as well.

        Empty when `patience` seconds have brought none.
        """
        while True:
            found, now = find(self._sys), time.monotonic()
            if found != self._found:
                self._found, self._changed = found, now
            if now - (self._changed if found else self._began) >= (settle if found else patience):
                return found
            time.sleep(POLL_SECONDS)


def find(sys: str = "/sys") -> list[Disk]:
    """The disks that can be written, by name."""
    names = sorted(os.listdir(f"{sys}/block")) if os.path.isdir(f"{sys}/block") else []
    found = (read(name, sys) for name in names if not name.startswith(OTHERS))
    return [disk for disk in found if disk is not None]


def read(name: str, sys: str = "/sys") -> Disk | None:
    """The disk of that name; None where it is no disk, is read-only or holds no medium."""
    base = f"{sys}/block/{name}"
    sectors = _text(f"{base}/size")
    size = int(sectors) * SECTOR if sectors.isdigit() else 0
    hidden = _text(f"{base}/hidden") == "1"  # a path of a multipath NVMe disk
    if not size or hidden or _text(f"{base}/ro") == "1":
        return None
    if _text(f"{base}/device/type") not in ("", TYPE_DISK):
        return None
    return Disk(
        name,
        size,
        _text(f"{base}/queue/rotational") == "1",
        model=_text(f"{base}/device/model"),
        vendor=_vendor(base),
        serial=_serial(base),
        wwn=_wwn(base),
        hctl=_hctl(base),
        by_path=by_path(base),
        sector=_sector(base),
    )


def _sector(base: str) -> int:
    text = _text(f"{base}/queue/logical_block_size")
    return int(text) if text.isdigit() else SECTOR


def by_path(base: str) -> str:
    """The name udev gives the disk in /dev/disk/by-path (systemd, udev-builtin-path_id.c).

    For disks on PCI: ATA, SCSI behind an adapter, virtio, NVMe; empty for others.
    """
    path = os.path.realpath(f"{base}/device").split("/")
    pci = [part for part in path if _is_pci(part)]
    if not pci:
        return ""
    place = f"/dev/disk/by-path/pci-{pci[-1]}"
    behind = path[path.index(pci[-1]) + 1 :]
    ata = [part for part in behind if part.startswith("ata")]
    if ata:
        return f"{place}-ata-{_ata_port(base, ata[0])}"
    if any(part.startswith("nvme") for part in behind):
        return f"{place}-nvme-{_text(f'{base}/nsid') or '1'}"
    if any(part.startswith(("usb", "end_device-", "rport-")) for part in behind):
        return ""
    hctl = _hctl(base)
    return f"{place}-scsi-0:{hctl.partition(':')[2]}" if hctl else place


def _ata_port(base: str, name: str) -> str:
    """The port's number on its controller; ATA devices are counted over all controllers."""
    above = os.path.realpath(f"{base}/device").split(f"/{name}/")[0]
    return _text(f"{above}/{name}/ata_port/{name}/port_no") or name[3:]


def _is_pci(text: str) -> bool:
    """Whether a folder of sysfs is that of a PCI function: `0000:00:1f.2`."""
    return len(text) >= 12 and text[-8] == ":" and text[-5] == ":" and text[-2] == "."


def _vendor(base: str) -> str:
    """SCSI gives a name; virtio and NVMe the number of the maker."""
    return _text(f"{base}/device/vendor")


def _serial(base: str) -> str:
    """virtio has it at the disk, NVMe at the controller, SCSI in a page of vital product data."""
    plain = _text(f"{base}/serial") or _text(f"{base}/device/serial")
    if plain:
        return plain
    try:
        with open(f"{base}/device/vpd_pg80", "rb") as file:
            page = file.read(TEXT_LIMIT)
    except OSError:
        return ""
    return page[PAGE_SERIAL_HEADER:].strip(b"\0 ").decode("ascii", "replace")


def _wwn(base: str) -> str:
    """The World Wide Name as udev writes it: `0x…` for an NAA number, `eui.…` for NVMe."""
    text = _text(f"{base}/wwid") or _text(f"{base}/device/wwid")
    if text.startswith("naa."):
        return f"0x{text[4:20]}"
    return text if text.startswith(("eui.", "uuid.", "nvme.")) else ""


def _hctl(base: str) -> str:
    """Host:channel:target:lun of a SCSI disk: the name of its device folder."""
    name = os.path.basename(os.path.realpath(f"{base}/device"))
    return name if name.count(":") == 3 and name.replace(":", "").isdigit() else ""


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(TEXT_LIMIT).strip(b"\0 \n").decode("ascii", "replace")
    except OSError:
        return ""
