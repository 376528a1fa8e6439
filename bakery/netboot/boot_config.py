"""What a node boots, as one model, and as the texts that boot programs read.

The names of the entries are Ironic's (`deploy`, `boot_partition`, `boot_whole_disk`), and so is
the placeholder that stands for the root device until the image is written. Sources: Ironic's
pxe_config.template, ipxe_config.template and pxe_grub_config.template (Juno to Wallaby);
wiki.syslinux.org (Config, Ipappend, Comboot/chain.c32); ipxe.org/cmd; GRUB's manual.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.netboot.tree import checked
from bakery.system import kargs, netboot_args

Default = Literal["deploy", "boot_partition", "boot_whole_disk"]

# An argument that is this, word for word, gets the root device when the node is switched.
ROOT_PLACEHOLDER = "{{ ROOT }}"
ROOT_ARGUMENT = f"root={ROOT_PLACEHOLDER}"
PLACEHOLDER_BYTES = 64  # more than any root= that comes in its place
# The longest a boot program may make the words it adds for `network`.
NETWORK_WORDS = ("ip=" + ":".join(["255.255.255.255"] * 4), "BOOTIF=01-ff-ff-ff-ff-ff-ff")

# What GRUB reads first, by the prefix that Debian builds into its network image, and what it does.
GRUB_MASTER_NAME = "grub/grub.cfg"
GRUB_MASTER = "configfile /grub/$net_default_mac.cfg\n"
# `ipxe_name` of whichever node it is, for iPXE to fill in (ipxe.org/cfg/mac).
IPXE_OWN_NAME = "ipxe/${mac:hexhyp}.ipxe"

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
_DISK = re.compile(r"0x[0-9a-f]{8}", re.ASCII)
_IP = r"([0-9]{1,3}(?:\.[0-9]{1,3}){3})"
_END = r"(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~:-]+)*"
_URL = re.compile(f"https?://(?:{_IP}|[A-Za-z0-9.-]+){_END}", re.ASCII)


class Boot(msgspec.Struct, frozen=True):
    """A kernel and a ramdisk by their names in the served tree, and the kernel's arguments.

    With `network`, the kernel is told which card and address it was loaded by, as pxelinux does
    (`BOOTIF=`, `ip=client:server:gateway:netmask`; GRUB can only tell the card).
    """

    kernel: str
    ramdisk: str
    args: tuple[str, ...] = ()
    network: bool = False


class BootConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of one node, and which of them it boots.

    `root` is a device as the kernel's `root=` takes it; while it is empty the placeholder stands
    in the texts. `disk` is the MBR signature of the disk that `boot_whole_disk` boots
    (`0x1234abcd`); empty: the first one.
    """

    mac: str
    deploy: Boot
    boot_partition: Boot | None = None
    default: Default = "deploy"
    root: str = ""
    disk: str = ""

    def switched(self, default: Default, *, root: str = "", disk: str = "") -> "BootConfig":
        """The same entries, another default, and what was learned when the image was written."""
        return msgspec.structs.replace(self, default=default, root=root, disk=disk)

    def entries(self) -> list[tuple[str, Boot]]:
        """The entries that start a kernel, by name."""
        found = [("deploy", self.deploy)]
        return found + ([("boot_partition", self.boot_partition)] if self.boot_partition else [])


def ironic_args(args: Sequence[str]) -> tuple[str, ...]:
    """The arguments of `boot_partition` as Ironic had them: a root of its own, then the image's.

    A `root=` among the image's comes later, and so wins.
    """
    return (ROOT_ARGUMENT, "ro", "text", *args)


def pxelinux_name(mac: str) -> str:
    """Where pxelinux looks for a node's configuration."""
    return f"pxelinux.cfg/01-{_dashed(mac)}"


def grub_name(mac: str) -> str:
    """Where GRUB's own configuration, GRUB_MASTER, sends a node."""
    _dashed(mac)
    return f"grub/{mac}.cfg"


def ipxe_name(mac: str) -> str:
    """Where a node's iPXE script is put; its URL is what DHCP tells iPXE."""
    return f"ipxe/{_dashed(mac)}.ipxe"


def pxelinux(config: BootConfig) -> str:
    """The configuration for pxelinux; `chain.c32` is to be served for `boot_whole_disk`."""
    _check(config)
    lines = [f"default {config.default}", "prompt 0", ""]
    for name, boot in config.entries():
        words = [f"initrd={boot.ramdisk}", *_words(config, boot, netboot_args.for_pxelinux)]
        told = NETWORK_WORDS if boot.network else ()
        _check_length(["BOOT_IMAGE=" + boot.kernel, *words, *told], "pxelinux")
        lines += [f"label {name}", f"  kernel {boot.kernel}", f"  append {' '.join(words)}"]
        lines += ["  ipappend 3"] if boot.network else []
        lines += [""]
    lines += ["label boot_whole_disk", "  com32 chain.c32"]
    lines += [f"  append {'mbr:' + config.disk if config.disk else 'hd0'}"]
    return "\n".join(lines) + "\n"


def ipxe(config: BootConfig, url: str) -> str:
    """The script for iPXE; the served tree is reached at `url` (no slash at its end)."""
    _check(config)
    match = _URL.fullmatch(url)
    if not match:
        raise BakeryError(f"{shown(url)} is not a URL that a boot script may contain")
    lines = ["#!ipxe", f"goto {config.default}", ""]
    for name, boot in config.entries():
        words = ["initrd=ramdisk", *_words(config, boot, netboot_args.for_ipxe)]
        _check_length([*words, *(NETWORK_WORDS if boot.network else ())], "iPXE")
        if boot.network:
            # The next server would be the site's, where that gives the addresses.
            server = match[1] or "${next-server}"
            address = f"ip=${{ip}}:{server}:${{gateway}}:${{netmask}}"
            words += [f"BOOTIF=01-{_dashed(config.mac)}", address]
        lines += [f":{name}", "imgfree", f"kernel {url}/{boot.kernel} {' '.join(words)}"]
        lines += [f"initrd --name ramdisk {url}/{boot.ramdisk}", "boot", ""]
    # UEFI goes on to its next boot option, the disk; BIOS is told which.
    lines += [":boot_whole_disk", "iseq ${platform} efi && exit 0 ||"]
    lines += ["sanboot --no-describe --drive 0x80"]
    return "\n".join(lines) + "\n"


def grub(config: BootConfig, device: str = "") -> str:
    """The grub.cfg; files are read from `device`, such as `(http,192.168.77.1:8080)`.

    An empty `device` is the one GRUB itself was loaded from.
    """
    _check(config)
    if not re.fullmatch(r"(?:\((?:tftp|http)(?:,[0-9.]+(?::[0-9]{1,5})?)?\))?", device, re.ASCII):
        raise BakeryError(f"{shown(device)} is not a network device of GRUB")
    lines = [f"set default={config.default}", "set timeout=0", ""]
    for name, boot in config.entries():
        words = _words(config, boot, netboot_args.for_grub)
        words += [f"BOOTIF=01-{_dashed(config.mac)}"] if boot.network else []
        _check_length([f"BOOT_IMAGE={device}/{boot.kernel}", *words], "GRUB")
        lines += [f"menuentry '{name}' --id {name} {{"]
        lines += [f"  linux {device}/{boot.kernel} {' '.join(words)}"]
        lines += [f"  initrd {device}/{boot.ramdisk}", "}", ""]
    lines += ["menuentry 'boot_whole_disk' --id boot_whole_disk {"]
    # Back to the firmware, whose next boot option is the disk.
    lines += ["  exit 1", "}"]
    return "\n".join(lines) + "\n"


def _words(
    config: BootConfig, boot: Boot, spell: Callable[[Sequence[str]], list[str]]
) -> list[str]:
    """The arguments in a boot program's spelling, the root device in its place."""
    words = []
    for arg in boot.args:
        if arg != ROOT_ARGUMENT:
            words += spell([arg])
        elif config.root:
            words += spell([f"root={config.root}"])
        else:
            words.append(ROOT_ARGUMENT)
    return words


def _check(config: BootConfig) -> None:
    """Raise where anything in a model would be something else in a text."""
    _dashed(config.mac)
    if config.disk and not _DISK.fullmatch(config.disk):
        raise BakeryError(f"{shown(config.disk)} is not an MBR signature", "such as 0x1234abcd")
    if config.default == "boot_partition" and config.boot_partition is None:
        raise BakeryError("there is no entry boot_partition to be the default")
    for _, boot in config.entries():
        checked(boot.kernel)
        checked(boot.ramdisk)
        kargs.validate([arg for arg in boot.args if arg != ROOT_ARGUMENT])
    if config.root:
        kargs.validate([f"root={config.root}"])


def _check_length(words: Sequence[str], loader: str) -> None:
    line = " ".join(words).replace(ROOT_PLACEHOLDER, "x" * PLACEHOLDER_BYTES)
    netboot_args.check_length(line, loader)


def _dashed(mac: str) -> str:
    """An Ethernet address as boot programs write it; BakeryError where it is none."""
    if not _MAC.fullmatch(mac):
        raise BakeryError(f"{shown(mac)} is not an Ethernet address", "such as 52:54:00:12:34:56")
    return mac.replace(":", "-")
