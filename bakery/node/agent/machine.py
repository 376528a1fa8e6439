"""Which machine this is, for the conductor to compare: its cards, its number, the disk it offers.

Source of the number: SMBIOS, System Information (type 1), Serial Number; Linux shows it to root in
/sys/class/dmi/id/product_serial.
"""

from . import network
from .disks import Disk

LIMIT = 128  # letters of each text


def told(disk: Disk, sys: str = "/sys") -> dict[str, str]:
    """The fields of a report; an empty text where the machine does not tell."""
    return {
        "macs": ",".join(network.interfaces(sys).values()),
        "serial": _text(f"{sys}/class/dmi/id/product_serial"),
        "disk_model": _plain(disk.model),
        "disk_serial": _plain(disk.serial),
        "disk_bytes": str(disk.size),
    }


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return _plain(file.read(LIMIT))
    except OSError:
        return ""


def _plain(text: str) -> str:
    return text.strip()[:LIMIT]
