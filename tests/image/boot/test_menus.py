"""Menus where they lie by convention, read as each loader reads its own."""

import pytest

from bakery.image.boot.entry import ImageFile
from tests.image.boot.machines import (
    BOOT,
    ESP,
    EXTENDED,
    KERNELS,
    PROGRAM,
    ROOT,
    Tree,
    entry,
    first,
    loader_entry,
    machine,
    read,
    unified,
)
from tests.system import programs

SYSLINUX = """\
DEFAULT two
LABEL one
  KERNEL ../vmlinuz-1
  APPEND root=/dev/sda3 one initrd=../initrd-1
LABEL two
  LINUX /vmlinuz-2
  APPEND root=/dev/sda3 two
  INITRD /initrd-2
LABEL tool
  COM32 reboot.c32
"""
LEGACY = """\
default 1
timeout 5
title one
 root (hd0,1)
 kernel /vmlinuz-1 root=/dev/sda3 one
 initrd /initrd-1
title two
 root (hd0,1)
 kernel /vmlinuz-2 root=/dev/sda3 two
 initrd /initrd-2
title other
 chainloader +1
"""


@pytest.mark.parametrize(
    ("path", "text", "loader"),
    [
        ("extlinux/extlinux.conf", SYSLINUX, "syslinux"),
        ("syslinux/syslinux.cfg", SYSLINUX, "syslinux"),
        ("grub/menu.lst", LEGACY, "GRUB legacy"),
        ("grub/grub.conf", LEGACY, "GRUB legacy"),
    ],
)
def test_other_loaders_have_their_menus_and_defaults(path: str, text: str, loader: str):
    found = read(machine({BOOT: {**KERNELS, path: text}})).entries
    assert [(e.title, e.loader, e.problem) for e in found] == [
        ("two", loader, ""),
        ("one", loader, ""),
    ]
    two, one = found
    assert (two.args, one.args) == (("root=/dev/sda3", "two"), ("root=/dev/sda3", "one"))
    assert (two.kernel, two.initrds) == (
        ImageFile(BOOT.name, "/vmlinuz-2"),
        (ImageFile(BOOT.name, "/initrd-2"),),
    )
    assert one.kernel == ImageFile(BOOT.name, "/vmlinuz-1")
    assert two.config == ImageFile(BOOT.name, f"/{path}")


def test_a_default_that_is_no_kernel_is_told_as_such():
    menu = LEGACY.replace("default 1", "default 2")
    found = first({BOOT: {**KERNELS, "grub/menu.lst": menu}})
    assert (found.title, bool(found.problem)) == ("other", True)
    broken = {**KERNELS, "syslinux/syslinux.cfg": SYSLINUX.replace("DEFAULT two", "DEFAULT tool")}
    found = first({BOOT: broken})
    assert "starts another program" in found.problem


@pytest.mark.parametrize("device", ["(hd0,7)", "(hd1,1)", f"(hd0,{'9' * 5000})", "(hd0,1,a)"])
def test_a_kernel_on_a_device_that_is_not_there_is_on_no_volume(device: str):
    menu = LEGACY.replace("kernel /vmlinuz-1", f"kernel {device}/vmlinuz-1")
    two, one = read(machine({BOOT: {**KERNELS, "grub/menu.lst": menu}})).entries
    assert (two.title, two.problem) == ("two", "")
    assert (one.title, one.kernel) == ("one", ImageFile(device, "/vmlinuz-1"))


def test_where_several_subvolumes_or_trees_have_a_menu_the_first_counts():
    inside = {f"boot/{name}": text for name, text in KERNELS.items()}
    root = {**inside, "boot/grub/grub.cfg": entry("in the root", folder="/boot")}
    own = {**KERNELS, "grub/grub.cfg": entry("of its own")}
    assert first({BOOT: own, ROOT: root}).title == "of its own"
    assert first({ROOT: root}).title == "in the root"
    assert first({ROOT: root}).kernel == ImageFile(ROOT.name, "/boot/vmlinuz-1")


def test_a_menu_that_nothing_leads_to_may_name_files_from_elsewhere():
    menu = entry("a", folder="/boot")
    found = first({BOOT: {"grub/grub.cfg": menu, **KERNELS}})
    assert (found.kernel, found.problem) == (ImageFile(BOOT.name, "/vmlinuz-1"), "")
    inside = {f"boot/{name}": text for name, text in KERNELS.items()}
    found = first({ESP: {"EFI/vendor/grub.cfg": menu}, ROOT: inside})
    assert (found.kernel, found.problem) == (ImageFile(ROOT.name, "/boot/vmlinuz-1"), "")


def systemd(**files: str | bytes) -> Tree:
    return {PROGRAM: programs.SYSTEMD_BOOT.read_bytes(), **KERNELS, **files}


def test_systemd_boot_waits_or_passes_over_what_it_cannot_use():
    reader = machine({ESP: systemd(**{"loader/entries/a.conf": "title a\n"})})
    chain = read(reader)
    assert chain.ways[0].problem == "systemd-boot finds no entry"
    assert [note for note in reader.notes if "a.conf" in note]
    waiting = {
        "loader/loader.conf": "timeout menu-force\n",
        "loader/entries/a.conf": loader_entry("a"),
    }
    chain = read(machine({ESP: systemd(**waiting)}))
    assert chain.ways[0].problem == "systemd-boot shows its menu and waits for somebody"
    assert (chain.entries[0].firmware, chain.entries[0].default_for) == (("uefi",), ())


def test_systemd_boot_does_not_come_to_an_entry_whose_kernel_is_not_there():
    files = {
        "loader/entries/b.conf": loader_entry("b", linux="/none"),
        "loader/entries/a.conf": loader_entry("a"),
    }
    found = read(machine({ESP: systemd(**files)})).entries
    assert [(e.title, e.firmware) for e in found] == [("a", ("uefi",)), ("b", ())]


def test_a_program_that_systemd_boot_finds_by_itself_starts_where_it_is_the_default():
    files: dict[str, str | bytes] = {"EFI/Microsoft/Boot/bootmgfw.efi": b"MZ"}
    files["loader/entries/a.conf"] = loader_entry("a")
    chain = read(machine({ESP: systemd(**files)}))
    assert [(e.title, e.default_for) for e in chain.entries] == [("a", ("uefi",))]
    files["loader/loader.conf"] = "default auto-win*\n"
    reader = machine({ESP: systemd(**files)})
    titles = [e.title for e in read(reader).entries]
    assert titles == ["Windows Boot Manager", "a"]
    assert [note for note in reader.notes if "bootmgfw.efi is cannot be told" in note]
    files["loader/loader.conf"] = "default auto-win*\nauto-entries no\n"
    assert [e.title for e in read(machine({ESP: systemd(**files)})).entries] == ["a"]


def test_the_program_that_systemd_boot_finds_by_itself_may_be_another_loader_never_itself():
    grub = {"EFI/systemd/systemd-bootx64.efi": programs.SYSTEMD_BOOT.read_bytes()}
    files = {
        **systemd(**grub),
        "loader/loader.conf": "default auto-efi-default\n",
        "loader/entries/a.conf": loader_entry("a"),
    }
    assert [e.title for e in read(machine({ESP: files})).entries] == ["a"]


def test_an_entry_may_start_an_image_with_arguments_of_its_own():
    image = {"images/x.efi": unified("root=/dev/sda3 own")}
    for options, args in (("", ("own",)), ("options root=/dev/sda3 given\n", ("given",))):
        text = f"title x\nefi /images/x.efi\n{options}"
        found = first({ESP: systemd(**image, **{"loader/entries/x.conf": text})})
        assert found.args[1:] == args
        assert found.config == ImageFile(ESP.name, "/loader/entries/x.conf")
        assert [place.kind for place in found.places] == ["bls" if options else "sealed"]


def test_a_device_tree_keeps_a_kernel_from_being_had_apart():
    text = loader_entry("a", devicetree="/board.dtb")
    found = first({ESP: systemd(**{"loader/entries/a.conf": text})})
    assert "brings a device tree" in found.problem


def test_an_image_that_is_signed_is_of_use_as_a_whole_only(tmp_path):
    sections = [(".pcrsig", b"{}"), (".cmdline", b"root=/dev/sda3"), (".linux", b"k")]
    sealed = programs.uki(tmp_path, [*sections, (".initrd", b"i"), (".osrel", b"ID=a\n")])
    for tree in ({PROGRAM: sealed}, systemd(**{"EFI/Linux/a.efi": sealed})):
        found = first({ESP: tree, EXTENDED: {}})
        assert "is sealed in a unified kernel image" in found.problem


def test_of_systemd_boot_only_what_it_lists_is_read():
    files: dict[str, str | bytes] = {
        "EFI/Linux/broken.efi": b"MZ",
        "loader/entries/a.conf": loader_entry("a"),
    }
    reader = machine({ESP: systemd(**files)})
    assert [e.title for e in read(reader).entries] == ["a"]
    assert [note for note in reader.notes if "broken.efi" in note]
