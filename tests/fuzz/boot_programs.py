"""What firmware and boot programs read of an image: EFI programs, their menus, a disk's head."""

from pathlib import Path

from bakery.system import (
    efi_pattern,
    loader_lines,
    pe,
    systemd_boot,
    systemd_entry,
    uki,
    versions,
)
from tests.fuzz.target import Target, text
from tests.system import programs


def targets(work: Path) -> list[Target]:
    """All of them; `work` is a folder for scratch."""
    folder = work / "boot-programs"
    folder.mkdir()
    return [
        Target("EFI program", _program, programs.SYSTEMD_BOOT.read_bytes()[:4096]),
        Target("unified kernel image", _uki, programs.uki(folder, _UKI)),
        Target("add-on of a UKI", _addon, programs.uki(folder, _ADDON)),
        Target("lines of a loader", _lines, b"title 'a b'\n# no\r\nlinux\t/vmlinuz\n\toptions x\n"),
        Target("entry of systemd-boot", _entry, _ENTRY),
        Target("loader.conf", systemd_boot.parse, b"timeout 3\ndefault debian-*\nauto-entries no"),
        Target("pattern of systemd-boot", _matched, b"[a-c]*.conf\na-6.1.conf"),
        Target("version of UAPI.10", lambda d: versions.uapi_key(text(d)), b"123.a-1~rc1^2_3"),
    ]


_ENTRY = b"""title Debian
version 6.1.0-25
machine-id 8f3c
sort-key debian
linux /8f3c/linux
initrd /8f3c/../initrd
options root=UUID=2f6e ro
architecture x64
devicetree \\a.dtb
"""


_ADDON = [(".uname", b"6.1\n"), (".cmdline", b"console=ttyS0\n")]
_UKI = [
    (".osrel", programs.OS_RELEASE),
    *_ADDON,
    (".linux", b"kernel"),
    (".initrd", b"initrd"),
    (".profile", b"ID=a\nTITLE='A'\n"),
    (".profile", b"ID=b\n"),
    (".cmdline", b"debug"),
]


def _program(data: bytes) -> object:
    return pe.read(programs.read_at(data))


def _uki(data: bytes) -> object:
    found = uki.read(programs.read_at(data))
    entries = systemd_entry.of_type_2(found, "a+1.efi", place="esp")
    return entries, [one.arguments for one in found.profiles]


def _addon(data: bytes) -> object:
    return uki.read_addon(programs.read_at(data))


def _lines(data: bytes) -> object:
    return list(loader_lines.pairs(data, "a file")), list(loader_lines.pairs(data, "a file", "="))


def _entry(data: bytes) -> object:
    found = systemd_entry.of_type_1(data, "a+3-1.conf", place="esp", machine="x86_64")
    if isinstance(found, systemd_entry.LeftOut):
        return found
    menu = systemd_boot.menu(systemd_boot.Configuration(default="a*"), [found, found])
    return found.arguments, menu


def _matched(data: bytes) -> bool:
    pattern, _, name = text(data).partition("\n")
    return efi_pattern.matches(pattern[: systemd_boot.PATTERN_LIMIT], name[:255])
