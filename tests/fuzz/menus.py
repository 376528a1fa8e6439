"""Menus where firmware comes to them in an image, and the kernel arguments changed there."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bakery.disk.volumes.volumes import Volume
from bakery.image import arg_places
from bakery.image.arg_places import Asked
from bakery.image.inspection import inspect
from bakery.system import loader
from tests import tiny
from tests.fuzz.target import Target
from tests.image.boot.machines import BOOT, ESP, KERNELS, PROGRAM, ROOT, Tree, machine
from tests.system import programs

SCRIPT = rb"""set kernelopts="a b"
for one in (hd0,2)/loader\.d/*.cfg; do source $one; done
menuentry $"$kernelopts" --id x {
  search --label boot --set=root
  linux /vmlinuz-1 root=/dev/sda3 $kernelopts
  initrd /initrd-1
}
menuentry other { chainloader (hd0,1)+1 }
"""
LEGACY = b"""default 0
title Linux
root (hd0,1)
kernel /vmlinuz-1 root=/dev/sda3 a
initrd /initrd-1
"""
ASKED = (("a",), ("new=1",))


def targets(work: Path) -> list[Target]:
    """All of them; `work` is a folder for scratch."""
    folder = work / "menus"
    folder.mkdir()
    grub = programs.grub_program(folder, prefix="/EFI/test", modules=("normal", "regexp"))
    return [
        Target("GRUB's menu in an image", lambda data: _changed(_of_uefi(grub, data)), SCRIPT),
        Target("GRUB Legacy's menu in an image", lambda data: _changed(_of_bios(data)), LEGACY),
    ]


def _of_uefi(grub: bytes, data: bytes) -> Mapping[Volume, Tree]:
    return {
        ESP: {PROGRAM: grub, "EFI/test/grub.cfg": data},
        BOOT: {**KERNELS, "loader.d/more.cfg": "set more=1\n"},
        ROOT: {**_SYSTEM, "etc/default/grub": 'GRUB_CMDLINE_LINUX="a"\n'},
    }


def _of_bios(data: bytes) -> Mapping[Volume, Tree]:
    return {BOOT: {**KERNELS, "grub/menu.lst": data}, ROOT: _SYSTEM}


_SYSTEM: Tree = {"etc/os-release": tiny.ROOT["etc/os-release"], "usr/bin/a": ""}


def _changed(files: Mapping[Volume, Tree]) -> list[bytes]:
    return list(_texts(files))


def _texts(files: Mapping[Volume, Tree]) -> Iterator[bytes]:
    """Each file that tells the arguments of what starts by itself, with its change."""
    reader = machine(files)
    entries = inspect(reader).entries
    if not entries:
        return
    first = entries[0]
    delete, append = ASKED
    new = loader.change(delete, append)(first.args)
    asked = Asked(delete=delete, append=append, old=first.args, new=new)
    for change in arg_places.changes(reader, entries, first, asked):
        yield change.edit(reader.engine.read_file(change.volume, change.path))
