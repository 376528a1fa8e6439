"""Which kernel modules the ramdisk carries: drivers for servers' network and disks.

Sources: kmod's modules.dep(5), modprobe.d(5) for `alias` and `softdep` lines, and depmod(8).
"""

import gzip
import lzma
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bakery.host.errors import BakeryError
from bakery.host.run import run
from bakery.node.ramdisk.cpio import Member
from bakery.node.ramdisk.cpio import file as cpio_file

# Folders of the kernel's drivers, or single modules. What they depend on comes along.
NIC_MAKERS = (
    *("amazon", "amd", "aquantia", "atheros", "broadcom", "brocade", "chelsio", "cisco", "dec"),
    *("emulex", "google", "huawei", "intel", "marvell", "mellanox", "microsoft", "netronome"),
    *("nvidia", "pensando", "qlogic", "realtek", "sfc", "via"),
)
NETWORK = (
    *(f"drivers/net/ethernet/{maker}/" for maker in NIC_MAKERS),
    "drivers/net/hyperv/",
    "drivers/net/phy/",
    "drivers/net/virtio_net",
    "drivers/net/vmxnet3/",
    "drivers/net/xen-netfront",
    "net/8021q/8021q",
)
DISKS = (
    "drivers/ata/",
    "drivers/block/virtio_blk",
    "drivers/block/xen-blkfront",
    "drivers/message/fusion/",
    "drivers/nvme/host/nvme",
    *(
        f"drivers/scsi/{name}"
        for name in (
            *("3w-9xxx", "3w-sas", "aacraid/", "aic7xxx/", "aic94xx/", "arcmsr/", "hpsa", "hptiop"),
            *("hv_storvsc", "ipr", "isci/", "megaraid", "megaraid/", "mpi3mr/", "mpt3sas/"),
            *("mvsas/", "mvumi", "pm8001/", "sd_mod", "smartpqi/", "stex", "sym53c8xx_2/"),
            *("virtio_scsi", "vmw_pvscsi"),
        )
    ),
)
BUSES = (
    "drivers/hv/hv_vmbus",
    "drivers/pci/controller/vmd",
    "drivers/virtio/virtio_mmio",
    "drivers/virtio/virtio_pci",
)
KEYBOARD = (
    "drivers/hid/hid-generic",
    "drivers/hid/usbhid/usbhid",
    "drivers/usb/host/ehci-pci",
    "drivers/usb/host/ohci-pci",
    "drivers/usb/host/uhci-hcd",
    "drivers/usb/host/xhci-pci",
)
WANTED = NETWORK + DISKS + BUSES + KEYBOARD
# Large, and of no use to a node that boots from the network and writes one disk.
UNWANTED = ("drivers/net/ethernet/mellanox/mlxsw/",)
SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")
MODULE_LIMIT_BYTES = 64 << 20
FIRMWARE = re.compile(rb"\0firmware=([A-Za-z0-9_+,-][A-Za-z0-9_./+,-]{0,254})(?=\0)")


@dataclass(frozen=True)
class Modules:
    """The chosen modules of one kernel: path below its folder → content, and their index files."""

    files: Mapping[str, bytes]
    index: Mapping[str, str]


def choose(folder: Path) -> Modules:
    """The wanted modules in `/lib/modules/VERSION` and all they depend on, uncompressed.

    Raises BakeryError where the folder is not that of a kernel, or a module cannot be read.
    """
    try:
        tables = {
            name: (folder / f"modules.{name}").read_text().splitlines()
            for name in ("dep", "alias", "softdep")
        }
    except OSError as error:
        raise BakeryError(
            f"{folder} is not a folder of kernel modules: {error.strerror}: {error.filename}",
            "reinstall the kernel's package, linux-image-amd64 on Debian",
        ) from None
    lines = (line.partition(":") for line in tables["dep"])
    needs = {path: needed.split() for path, _, needed in lines if path.endswith(SUFFIXES)}
    chosen = _closure(needs, tables["alias"], tables["softdep"])
    if not chosen:
        raise BakeryError(f"{folder} holds none of the drivers that a deploy ramdisk needs")
    files = {bare(path): _content(folder / path) for path in sorted(chosen)}
    names = {module_name(path) for path in chosen}
    index = {
        "modules.dep": _lines(
            f"{bare(path)}: {' '.join(map(bare, needs[path]))}".rstrip() for path in sorted(chosen)
        ),
        "modules.alias": _lines(
            line
            for line in tables["alias"]
            if line.startswith("alias ") and line.split()[-1] in names
        ),
        "modules.softdep": _lines(
            line for line in tables["softdep"] if line.split()[1:2] and line.split()[1] in names
        ),
    }
    return Modules(files, index)


def firmware(modules: Modules, root: Path = Path("/")) -> tuple[dict[str, Member], tuple[str, ...]]:
    """The firmware that is installed here for the modules, by place in the ramdisk.

    And the names of the modules that ask for some and find none of it (modinfo(8), `firmware`).
    """
    found: dict[str, Member] = {}
    lacking = []
    for path, content in modules.files.items():
        names = {name.decode("ascii") for name in FIRMWARE.findall(content) if b".." not in name}
        there = {name: root / "lib/firmware" / name for name in sorted(names)}
        files = {f"usr/lib/firmware/{n}": file for n, file in there.items() if file.is_file()}
        found |= {place: cpio_file(file.read_bytes()) for place, file in files.items()}
        lacking += [module_name(path)] if names and not files else []
    return found, tuple(sorted(lacking))


def is_wanted(path: str) -> bool:
    """Whether a module (`kernel/drivers/…/name.ko`) is one to take for its own sake."""
    place = bare(path).removeprefix("kernel/").removesuffix(".ko")
    if place.startswith(UNWANTED):
        return False
    return any(
        place.startswith(wanted) if wanted.endswith("/") else place == wanted for wanted in WANTED
    )


def bare(path: str) -> str:
    """The path without the suffix of a compression."""
    return path[: path.index(".ko") + 3] if ".ko." in path else path


def module_name(path: str) -> str:
    """The name by which the kernel knows the module."""
    return Path(bare(path)).name.removesuffix(".ko").replace("-", "_")


def _closure(
    needs: Mapping[str, list[str]], aliases: Iterable[str], softdeps: Iterable[str]
) -> set[str]:
    """The wanted modules, with what they depend on, hard and soft."""
    by_name = {module_name(path): path for path in needs}
    soft = _soft_needs(by_name, aliases, softdeps)
    chosen: set[str] = set()
    waiting = [path for path in needs if is_wanted(path)]
    while waiting:
        path = waiting.pop()
        if path not in chosen:
            chosen.add(path)
            waiting += [*needs[path], *soft.get(path, ())]
    return chosen


def _soft_needs(
    by_name: Mapping[str, str], aliases: Iterable[str], softdeps: Iterable[str]
) -> dict[str, list[str]]:
    """Path → paths of the modules it would like to have loaded before it or after it."""
    known = {name: [path] for name, path in by_name.items()}
    for line in aliases:
        words = line.split()
        if len(words) == 3 and words[2] in by_name and "*" not in words[1]:
            known.setdefault(words[1].replace("-", "_"), []).append(by_name[words[2]])
    found: dict[str, list[str]] = {}
    for line in softdeps:
        words = line.replace("-", "_").split()
        if len(words) > 2 and words[1] in by_name:
            wishes = [path for word in words[2:] for path in known.get(word, ())]
            found.setdefault(by_name[words[1]], []).extend(wishes)
    return found


def _content(path: Path) -> bytes:
    """A module, uncompressed: the whole ramdisk is compressed, and better than each alone."""
    unpack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}
    try:
        if path.suffix == ".zst":
            return run(["zstd", "-dc", path], output_limit=MODULE_LIMIT_BYTES).stdout
        return unpack.get(path.suffix, bytes)(path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise BakeryError(f"the kernel module {path} cannot be read: {error}") from None


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
