"""What firmware and boot programs read of an image: EFI programs, their menus, a disk's head."""

from pathlib import Path

from bakery.disk.extents import Extent
from bakery.disk.volumes import fat_files
from bakery.system import (
    efi_fallback,
    efi_pattern,
    efi_program,
    grub_core,
    grub_legacy,
    grub_memdisk,
    loader_lines,
    pe,
    syslinux,
    systemd_boot,
    systemd_entry,
    uki,
    versions,
)
from tests.disk.volumes import test_fat_files
from tests.fuzz.target import Target, text
from tests.system import programs, test_grub_legacy, test_syslinux


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
        Target("entry of systemd-boot for a UKI", _entry, b"uki /EFI/a.efi\nprofile 2\n"),
        Target("loader.conf", systemd_boot.parse, b"timeout 3\ndefault debian-*\nauto-entries no"),
        Target("pattern of systemd-boot", _matched, b"[a-c]*.conf\na-6.1.conf"),
        Target("GRUB as an EFI program", _loader, programs.grub_program(folder, config="set a\n")),
        Target("shim", _loader, _shim(folder)),
        Target("shim's CSV", efi_fallback.parse, "shimx64.efi,A,b,c\n".encode("utf-16-le")),
        Target("GRUB's core image", _core, _packed_core(folder)),
        Target("boot sector", grub_core.boot_code, _BOOT_SECTOR.read_bytes()),
        Target("FAT", _fat, test_fat_files.make(folder, 12)),
        Target("GRUB's memory disk", _memdisk, _tar(folder)),
        Target("menu of SYSLINUX", _syslinux, test_syslinux.ALPINE.encode()),
        Target("menu of GRUB Legacy", _legacy, test_grub_legacy.CENTOS),
        Target("version of UAPI.10", lambda d: versions.uapi_key(text(d)), b"123.a-1~rc1^2_3"),
    ]


_BOOT_SECTOR = Path("/usr/lib/grub/i386-pc/boot.img")
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


_SHIM = [(".sbat", b"shim,4,UEFI shim,shim,1,x\n"), (".x", "\\\\grubx64.efi".encode("utf-16-le"))]
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
    asked = systemd_boot.Configuration(default="a*")
    menu = systemd_boot.menu(asked, [found, found], loader="systemd-boot 252.39")
    return found.arguments, menu


def _matched(data: bytes) -> bool:
    pattern, _, name = text(data).partition("\n")
    return efi_pattern.matches(pattern[: systemd_boot.PATTERN_LIMIT], name[:255])


def _loader(data: bytes) -> object:
    read_at = programs.read_at(data)
    found = efi_program.read(read_at)
    place = found.grub and found.grub.memdisk
    return found, place and _read_memdisk(grub_memdisk.opened(read_at, place))


def _shim(folder: Path) -> bytes:
    """A program that says that it is shim: what the stub says of itself goes."""
    return programs.uki(folder, _SHIM).replace(b".sbat\0\0\0", b".own\0\0\0\0", 1)


def _memdisk(data: bytes) -> object:
    return _read_memdisk(grub_memdisk.opened(programs.read_at(data), Extent(0, len(data))))


def _read_memdisk(disk: grub_memdisk.Memdisk) -> object:
    return disk.read("/boot/grub/grub.cfg"), [disk.is_file("/" + one) for one in disk.names("/")]


def _tar(folder: Path) -> bytes:
    files = {"boot/grub/grub.cfg": b"menu\n", "a": b"b"}
    return programs.tar(folder, files).read_bytes()[:5120]


def _fat(data: bytes) -> object:
    files = fat_files.Files(programs.read_at(data))
    root = files.find("/")
    listed = list(files.entries(root)) if root else []
    read = [files.read(one, 1 << 20) for one in (*listed, files.find("/boot/big")) if one]
    return read, files.find("/EFI/Größe/deep/File.conf")


def _packed_core(folder: Path) -> bytes:
    made = programs.grub_program(folder, platform="i386-pc", prefix="(,gpt2)/boot/grub")
    return made.ljust(len(made) + 511 & ~511, b"\0")


def _core(data: bytes) -> object:
    """As a disk whose boot sector leads to it, in sector 1."""
    return grub_core.read(programs.read_at(_BOOT_SECTOR.read_bytes() + data))


def _syslinux(data: bytes) -> object:
    found = syslinux.read("/a", {"/a": data, "/b": data}.get)
    return found, [one.arguments for one in found.entries]


def _legacy(data: bytes) -> object:
    found = grub_legacy.parse(data, data[:9])
    return found, [one.arguments for one in found.entries]
