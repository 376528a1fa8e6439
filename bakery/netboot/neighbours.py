"""Which machine answers at an address of this network: what the kernel has learned by ARP."""

from pathlib import Path

from bakery.host.errors import BakeryError

TABLE = Path("/proc/thread-self/net/arp")  # of this thread's network namespace (proc(5))
TABLE_LIMIT_BYTES = 4 << 20
COMPLETE = 2  # linux/if_arp.h: ATF_COM


def holder(address: str, interface: str, table: Path = TABLE) -> str:
    """The hardware address that frames for `address` go to on `interface`; empty: not known.

    Who has asked us for ours, or was sent something, is in the table. BakeryError where it cannot
    be read.
    """
    try:
        with table.open(encoding="ascii") as file:
            lines = file.read(TABLE_LIMIT_BYTES).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BakeryError(f"the table of neighbours {table} cannot be read: {error}") from error
    for line in lines[1:]:
        words = line.split()  # address, kind, flags, hardware address, mask, interface
        if len(words) == 6 and (words[0], words[5]) == (address, interface):
            return words[3].lower() if int(words[2], 16) & COMPLETE else ""
    return ""
