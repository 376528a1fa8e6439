"""What firmware and boot programs read of an image: EFI programs, their menus, a disk's head."""

from pathlib import Path

from bakery.system import loader_lines, pe, uki
from tests.fuzz.target import Target
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
    ]


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
    read_at = programs.read_at(data)
    return [pe.content(read_at, one, 1 << 20) for one in pe.read(read_at).sections]


def _uki(data: bytes) -> object:
    found = uki.read(programs.read_at(data))
    return found, [one.arguments for one in found.profiles]


def _addon(data: bytes) -> object:
    return uki.read_addon(programs.read_at(data))


def _lines(data: bytes) -> object:
    return list(loader_lines.pairs(data, "a file")), list(loader_lines.pairs(data, "a file", "="))
