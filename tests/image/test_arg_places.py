"""Where kernel arguments are written: every place, each with its own change, told by the result."""

import itertools
from collections.abc import Mapping

import pytest

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image import arg_places
from bakery.image.arg_places import Asked
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.inspection import Inspection, inspect
from bakery.system import loader
from tests.image.boot.machines import (
    BOOT,
    ESP,
    KERNELS,
    PROGRAM,
    ROOT,
    Tree,
    entry,
    grub,
    grub_of_bios,
    loader_entry,
    machine,
    unified,
)
from tests.system import programs

SYSTEM: Tree = {"etc/os-release": "ID=lab", "usr/bin/a": ""}
ENVIRONMENT = "# GRUB Environment Block\nkernelopts=root=/dev/sda3 a \n".ljust(256, "#")
FROM_BOOT = (
    "search --label boot --set=root\nset prefix=($root)/grub2\nconfigfile $prefix/grub.cfg\n"
)
KERNELOPTS = "load_env -f /grub2/grubenv\nblscfg\n"
VARIABLES = loader_entry("x", options="$kernelopts $tuned_params")

Files = Mapping[Volume, Tree]


def changed(
    files: Files,
    delete: tuple[str, ...] = ("a",),
    append: tuple[str, ...] = ("new=1",),
    **more: object,
) -> tuple[dict[Volume, dict[str, str | bytes]], Asked, BootEntry]:
    """The files with every change made, what was asked, and the entry that it was asked for."""
    reader = machine(files, **more)  # type: ignore[arg-type]
    found = inspect(reader)
    first = found.entries[0]
    asked = Asked(
        delete=delete, append=append, old=first.args, new=loader.change(delete, append)(first.args)
    )
    after = {volume: dict(tree) for volume, tree in files.items()}
    for change in arg_places.changes(reader, found.entries, first, asked):
        old = reader.engine.read_file(change.volume, change.path)
        after[change.volume][change.path.strip("/")] = change.edit(old)
    return after, asked, first


def verified(files: Files, **more: object) -> Inspection:
    """What is found after the change, which the entry that was meant has come to."""
    after, asked, first = changed(files, **more)  # type: ignore[arg-type]
    found = inspect(machine(after, **more))  # type: ignore[arg-type]
    arg_places.refuse_unchanged(found.entries, first, asked, ())
    assert found.entries[0].args == ("root=/dev/sda3", "new=1")
    assert list(arg_places.unchanged(found.entries, first, asked)) == []
    return found


FED = entry("$opts").replace("root=/dev/sda3 $", "$")
UEFI: dict[str, tuple[Tree, Tree]] = {
    "a menu on the ESP": (
        {PROGRAM: grub(), "EFI/test/grub.cfg": "set root=hd0,gpt2\n" + entry("a")},
        {},
    ),
    "a menu on /boot": (
        {PROGRAM: grub(), "EFI/test/grub.cfg": FROM_BOOT},
        {"grub2/grub.cfg": entry("a")},
    ),
    "a variable of the menu": (
        {PROGRAM: grub(), "EFI/test/grub.cfg": FROM_BOOT},
        {"grub2/grub.cfg": 'set opts="root=/dev/sda3 a"\n' + FED},
    ),
    "an entry of blscfg": (
        {PROGRAM: grub(), "EFI/test/grub.cfg": FROM_BOOT},
        {"grub2/grub.cfg": "blscfg\n", "loader/entries/x.conf": loader_entry("a")},
    ),
    "a variable of grubenv": (
        {PROGRAM: grub(), "EFI/test/grub.cfg": FROM_BOOT},
        {
            "grub2/grub.cfg": KERNELOPTS,
            "grub2/grubenv": ENVIRONMENT,
            "loader/entries/x.conf": VARIABLES,
        },
    ),
    "systemd-boot": (
        {
            PROGRAM: programs.SYSTEMD_BOOT.read_bytes(),
            "loader/entries/x.conf": loader_entry("a"),
            **KERNELS,
        },
        {},
    ),
}  # fmt: skip
BIOS: dict[str, Tree] = {
    "no BIOS": {},
    "a menu for a BIOS": {"own/grub.cfg": entry("a")},
}
UPDATES: dict[str, tuple[Tree, Tree]] = {
    "nothing": ({}, {}),
    "defaults": (
        {"etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="a"\nGRUB_CMDLINE_LINUX="b"\n'},
        {"etc/default/grub": b'GRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="b new=1"\n'},
    ),
    "defaults in a folder": (
        {
            "etc/default/grub": "GRUB_TIMEOUT=1\n",
            "etc/default/grub.d/1.cfg": 'GRUB_CMDLINE_LINUX="a b"\n',
            "etc/default/grub.d/2.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="a c"\n',
        },
        {
            "etc/default/grub": b"GRUB_TIMEOUT=1\n",
            "etc/default/grub.d/1.cfg": b'GRUB_CMDLINE_LINUX="b new=1"\n',
            "etc/default/grub.d/2.cfg": b'GRUB_CMDLINE_LINUX_DEFAULT="c"\n',
        },
    ),
    "kernel-install": (
        {"etc/kernel/cmdline": "root=/dev/sda3 a\n", "usr/lib/kernel/cmdline": "a\n"},
        {"etc/kernel/cmdline": b"root=/dev/sda3 new=1\n", "usr/lib/kernel/cmdline": "a\n"},
    ),
    "the vendor's": (
        {"usr/lib/kernel/cmdline": "a b\n"},
        {"usr/lib/kernel/cmdline": b"b new=1\n"},
    ),
}


@pytest.mark.parametrize(("loaded", "bios"), list(itertools.product(UEFI, BIOS)))
def test_every_menu_changes_that_a_loader_reads(loaded: str, bios: str):
    esp, boot = UEFI[loaded]
    files = {ESP: esp, BOOT: {**KERNELS, **boot, **BIOS[bios]}, ROOT: SYSTEM}
    disk = grub_of_bios("(hd0,gpt2)/own") if BIOS[bios] else b""
    found = verified(files, disk=disk)
    assert all(entry.args == ("root=/dev/sda3", "new=1") for entry in found.entries)


@pytest.mark.parametrize("update", UPDATES)
def test_what_the_next_kernel_gets_its_arguments_from_changes_too(update: str):
    before, after = UPDATES[update]
    esp, boot = UEFI["a menu on /boot"]
    files = {ESP: esp, BOOT: {**KERNELS, **boot}, ROOT: {**SYSTEM, **before}}
    verified(files)
    got, _, _ = changed(files)
    assert {path: text for path, text in got[ROOT].items() if path in after} == after


def test_a_variable_that_all_kernels_share_changes_and_entries_keep_it():
    esp, boot = UEFI["a variable of grubenv"]
    after, _, _ = changed({ESP: esp, BOOT: {**KERNELS, **boot}, ROOT: SYSTEM})
    assert after[BOOT]["loader/entries/x.conf"] == VARIABLES.encode()
    environment = after[BOOT]["grub2/grubenv"]
    assert isinstance(environment, bytes)
    assert b"\nkernelopts=root=/dev/sda3 new=1\n" in environment
    assert len(environment) == len(ENVIRONMENT)


def test_both_branches_of_an_entry_change():
    menu = (
        "menuentry 'x' {\n if [ \"${failed}\" = 1 ]; then\n  linux /vmlinuz-1 root=/dev/sda3 a\n"
        "  initrd /initrd-1\n else\n  linux /vmlinuz-1 root=/dev/sda3 a panic=-1\n fi\n}\n"
    )
    esp, _ = UEFI["a menu on /boot"]
    after, _, _ = changed({ESP: esp, BOOT: {**KERNELS, "grub2/grub.cfg": menu}, ROOT: SYSTEM})
    text = after[BOOT]["grub2/grub.cfg"]
    assert isinstance(text, bytes)
    assert b"vmlinuz-1 root=/dev/sda3 new=1\n" in text
    assert b"vmlinuz-1 root=/dev/sda3 panic=-1 new=1\n" in text


def test_other_kernels_keep_their_arguments():
    esp, _ = UEFI["a menu on /boot"]
    menu = entry("a") + entry("a", 2, title="old")
    after, _, _ = changed({ESP: esp, BOOT: {**KERNELS, "grub2/grub.cfg": menu}, ROOT: SYSTEM})
    text = after[BOOT]["grub2/grub.cfg"]
    assert isinstance(text, bytes)
    assert b"vmlinuz-2 root=/dev/sda3 a\n" in text


def test_a_sealed_image_is_told_and_its_entry_refused():
    files: Files = {ESP: {PROGRAM: unified("root=/dev/sda3 a")}, BOOT: KERNELS, ROOT: SYSTEM}
    after, asked, first = changed(files)
    assert after == {volume: dict(tree) for volume, tree in files.items()}
    assert arg_places.sealed([first], first) == (ImageFile(ESP.name, f"/{PROGRAM}"),)
    found = inspect(machine(after)).entries
    assert [entry.args for entry in arg_places.unchanged(found, first, asked)] == [first.args]
    with pytest.raises(BakeryError, match="cannot be changed: it is sealed"):
        arg_places.refuse_unchanged(found, first, asked, ["it is sealed"])
    with pytest.raises(BakeryError, match="no file of the image tells its boot loader them"):
        arg_places.refuse_unchanged(found, first, asked, ())
