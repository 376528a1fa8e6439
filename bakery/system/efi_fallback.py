"""BOOTX64.CSV: what shim's fallback program makes boot entries of, and starts.

Source: shim, fallback.c and README.fallback. On a machine that knows no entry, firmware starts
`/EFI/BOOT/BOOT*.EFI`, a shim, which starts `fb*.efi` beside it. That looks into every folder of
/EFI but BOOT, in the order in which the directory has them, and starts what the first line of the
first file says.
"""

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import printable
from bakery.system import architecture

SIZE_LIMIT_BYTES = 64 << 10
FOLDER_TO_SKIP = "boot"


class Option(msgspec.Struct, frozen=True):
    """A boot entry: a file in the folder of the CSV, its title, and what it is started with.

    A shim that is started with the path of a program starts that one.
    """

    file: str
    title: str
    arguments: str


def file_names(machine: str) -> tuple[str, ...]:
    """The files that are looked for in a folder, in lower case; the first that is there counts."""
    suffix = architecture.EFI_SUFFIXES.get(machine, "")
    return (f"boot{suffix}.csv", "boot.csv")


def parse(data: bytes) -> tuple[Option, ...]:
    """The entries of a file, in UTF-16 with or without a byte order mark; BakeryError where it is
    too long. A line without a file or a title is passed over."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise BakeryError(f"a boot entry's CSV holds {len(data)} bytes")
    text = data.decode("utf-16-le", "replace").removeprefix("\ufeff").split("\0")[0]
    lines = text.replace("\r", "\n").split("\n")
    options = (Option(*(printable(one) for one in _fields(line))) for line in lines)
    return tuple(option for option in options if option.file and option.title)


def _fields(line: str) -> tuple[str, str, str]:
    """File, title and arguments of a line; behind them stands what nothing reads."""
    fields = [*line.split(",", 3), "", "", ""]
    return fields[0], fields[1], fields[2]
