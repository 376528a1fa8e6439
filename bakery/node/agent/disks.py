"""The disks of the node, as sysfs tells them (Linux, Documentation/ABI/*/sysfs-block)."""

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from . import controllers
from .console import say

SECTOR = 512  # the unit of /sys/block/*/size, whatever the disk's own
# Not disks: memory, files, other block devices under another name, optical and floppy drives.
OTHERS = ("ram", "loop", "zram", "nbd", "dm-", "md", "sr", "fd", "mtdblock", "pmem", "drbd")
TYPE_DISK = "0"  # SCSI peripheral device type: direct access block device (SPC-4, 6.4.2)
PAGE_SERIAL_HEADER = 4  # bytes before the number in VPD page 0x80 (SPC-4, 7.8.15)
# SCSI has 16 letters for a model. The 40 of ATA stand in VPD page 0x89, behind 60 bytes (SAT-4,
# 12.4.2), in words 27 to 46 of what the disk tells (ACS-4, 7.13.7), two letters swapped in each.
PAGE_ATA_MODEL = slice(60 + 2 * 27, 60 + 2 * 47)
# An eMMC's boot areas, its area for secrets and its further partitions are disks of their own.
AREA = re.compile(r"mmcblk[0-9]+(?:boot[0-9]+|rpmb|gp[0-9]+)")
# What BMCs call the drives that they make up, over USB: AMI's, ATEN's, HPE's and Lenovo's have the
# word; Dell's iDRAC has a few others; OpenBMC's is Linux's gadget.
BMC_MEDIA = re.compile(r"virtual|lcdrive|oemdrv|secupd|mas022|file-stor gadget|openbmc", re.I)
TEXT_LIMIT = 4096
DISK_SECONDS = 60.0  # for a disk to appear
POLL_SECONDS = 0.1
LONGEST = 3
"""Disks that come and go are looked at for so many times as long as one may take."""

Outlook = Literal["there", "open", "missing"]
"""Whether the disk that is looked for is among some, may be one of them, or is none of them."""


class Disk(NamedTuple):
    """One disk. Texts are stripped, and empty where it does not tell; `size` is bytes.

    `sector` is the unit that its partition tables count in, in bytes. `wwid` is the whole of what
    tells it from any other disk.
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
    wwid: str = ""

    @property
    def device(self) -> str:
        """The device file."""
        return f"/dev/{self.name}"

    def __str__(self) -> str:
        known = [text for text in (self.vendor, self.model, self.serial) if text]
        return f"{self.device} ({' '.join([f'{self.size / (1 << 30):.4g} GiB', *known])})"


def any_of_them(found: Sequence[Disk]) -> Outlook:
    """What is looked for where nothing names a disk."""
    return "open" if found else "missing"


class Arrivals:
    """The disks of a node whose drivers are loaded: some adapters take seconds to find theirs."""

    def __init__(self, sys: str = "/sys") -> None:
        self._sys = sys
        self._found = find(sys)
        self._began = self._changed = time.monotonic()

    def wait(
        self,
        outlook: Callable[[Sequence[Disk]], Outlook] = any_of_them,
        patience: float = DISK_SECONDS,
        settle: float | None = None,
    ) -> list[Disk]:
        """All of them, once `outlook` is satisfied with those that are there.

        What is `missing` is waited for `patience` seconds. Where it is `open`, nothing may have
        changed for `settle` seconds: without a number, as long as the adapters may take. What is
        `there` is there. Seconds since the drivers were loaded count. Empty where there are none.
        """
        told = False
        while True:
            found, now = find(self._sys), time.monotonic()
            if found != self._found:
                self._found, self._changed = found, now
            seen = outlook(found)
            enough, since = patience, self._began
            if seen != "missing":
                enough, since = settle or controllers.QUICK_SECONDS, self._changed
                if seen == "open" and settle is None:
                    enough = controllers.settle_seconds(self._sys)
            if now - since >= enough or now - self._began >= LONGEST * patience:
                return found
            if enough > controllers.QUICK_SECONDS and not told:
                say(f"waiting for disks, {enough:g} s at most after the last one")
                told = True
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
    if AREA.fullmatch(name) or _is_bmc_media(base):
        return None
    return Disk(
        name,
        size,
        _text(f"{base}/queue/rotational") == "1",
        model=_model(base),
        vendor=_vendor(base),
        serial=_serial(base),
        wwn=_wwn(base),
        hctl=_hctl(base),
        by_path=by_path(base),
        sector=_sector(base),
        wwid=_wwid(base),
    )


def _is_bmc_media(base: str) -> bool:
    """Whether it is a drive that a BMC makes up: what is written there is on no disk."""
    path = os.path.realpath(f"{base}/device")
    words = f"{_vendor(base)} {_text(f'{base}/device/model')}"
    return "/usb" in path and bool(BMC_MEDIA.search(words))


def _model(base: str) -> str:
    """The whole of it, where SCSI's 16 letters are not."""
    page = _bytes(f"{base}/device/vpd_pg89")[PAGE_ATA_MODEL]
    swapped = b"".join(page[n + 1 : n + 2] + page[n : n + 1] for n in range(0, len(page), 2))
    whole = swapped.strip(b"\0 ").decode("ascii", "replace")
    return whole or _text(f"{base}/device/model")


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
    page = _bytes(f"{base}/device/vpd_pg80")
    return page[PAGE_SERIAL_HEADER:].strip(b"\0 ").decode("ascii", "replace")


def _wwn(base: str) -> str:
    """The World Wide Name as udev writes it: `0x…` for an NAA number, `eui.…` for NVMe."""
    text = _wwid(base)
    if text.startswith("naa."):
        return f"0x{text[4:20]}"
    return text if text.startswith(("eui.", "uuid.", "nvme.")) else ""


def _wwid(base: str) -> str:
    return _text(f"{base}/wwid") or _text(f"{base}/device/wwid")


def _hctl(base: str) -> str:
    """Host:channel:target:lun of a SCSI disk: the name of its device folder."""
    name = os.path.basename(os.path.realpath(f"{base}/device"))
    return name if name.count(":") == 3 and name.replace(":", "").isdigit() else ""


def _text(path: str) -> str:
    return _bytes(path).strip(b"\0 \n").decode("ascii", "replace")


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(TEXT_LIMIT)
    except OSError:
        return b""
