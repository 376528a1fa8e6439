"""What UEFI comes to, by way of real programs on an ESP."""

from pathlib import Path

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
    grub,
    loader_entry,
    machine,
    read,
    unified,
)
from tests.system import programs

STUB = "search --fs-uuid --set=root B007-02\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n"
DECOYS = {"EFI/other/grub.cfg": entry("other"), "EFI/BOOT/grub.cfg": entry("beside")}


def system_boot() -> bytes:
    return programs.SYSTEMD_BOOT.read_bytes()


def esp(program: bytes) -> Tree:
    return {PROGRAM: program, **KERNELS}


def shim(folder: Path, name: str = "\\\\grubx64.efi") -> bytes:
    """A program that says what shim says of itself, and names a file."""
    banner = b"UEFI SHIM\n" + name.encode("utf-16-le") + b"\0\0"
    data = programs.uki(folder, [(".text2", banner)])
    return data.replace(b".sdmagic", b".gone\0\0\0", 1).replace(b".sbat\0\0\0", b".own\0\0\0\0", 1)


def test_grub_takes_the_menu_that_its_own_prefix_leads_to():
    found = first({ESP: {**esp(grub()), **DECOYS, "EFI/test/grub.cfg": entry("right")}, ROOT: {}})
    assert found.args == ("root=/dev/sda3", "right")
    assert (found.firmware, found.loader) == (("uefi",), "GRUB")
    assert found.config == ImageFile(ESP.name, "/EFI/test/grub.cfg")
    assert found.kernel == ImageFile(ESP.name, "/vmlinuz-1")


def test_a_stub_on_the_esp_leads_to_the_menu_of_boot():
    tree = {**esp(grub()), "EFI/test/grub.cfg": STUB}
    boot = {**KERNELS, "grub/grub.cfg": entry("right"), "grub2/grub.cfg": entry("wrong")}
    chain = read(machine({ESP: tree, BOOT: boot}))
    assert [(e.title, e.firmware) for e in chain.entries] == [("right", ("uefi",)), ("wrong", ())]
    assert chain.entries[0].kernel == ImageFile(BOOT.name, "/vmlinuz-1")
    (way,) = chain.ways
    assert (way.firmware, way.program) == ("uefi", f"{ESP.name}:/{PROGRAM}")
    assert way.menus == ("/dev/sda1:/EFI/test/grub.cfg", "/dev/sda2:/grub/grub.cfg")
    assert (way.note, way.problem) == ("", "")


def test_a_configuration_inside_grub_runs_first():
    early = "search.fs_label boot root\nset prefix=($root)/elsewhere\n"
    tree = {**esp(grub(config=early)), "EFI/test/grub.cfg": entry("wrong")}
    boot = {**KERNELS, "elsewhere/grub.cfg": entry("right")}
    assert first({ESP: tree, BOOT: boot}).title == "right"


def test_debians_grub_goes_by_its_memory_disk():
    tree = {**esp(programs.GRUB.read_bytes()), "EFI/debian/grub.cfg": STUB}
    assert first({ESP: tree, BOOT: {**KERNELS, "grub/grub.cfg": entry("right")}}).title == "right"


def test_a_grub_that_finds_no_menu_says_so_and_others_are_beyond_its_reach():
    boot = {**KERNELS, "grub2/grub.cfg": entry("there")}
    chain = read(machine({ESP: esp(grub()), BOOT: boot}))
    assert [(e.title, e.firmware) for e in chain.entries] == [("there", ())]
    (way,) = chain.ways
    assert way.problem == "GRUB finds no menu, and waits for somebody to tell it what to do"


def test_systemd_boot_takes_its_own_menu():
    tree = {
        **esp(system_boot()),
        "EFI/BOOT/grub.cfg": entry("wrong"),
        "loader/loader.conf": "default b-*\n",
        "loader/entries/a-1.conf": loader_entry("a"),
        "loader/entries/b-1.conf": loader_entry("b", 2),
    }
    found = first({ESP: tree, ROOT: {}})
    assert (found.title, found.id, found.loader) == ("b", "b-1", "systemd-boot")
    assert found.firmware == ("uefi",)
    assert found.initrds == (ImageFile(ESP.name, "/initrd-2"),)


def test_systemd_boot_knows_the_extended_partition():
    tree = {"loader/entries/a.conf": loader_entry("there"), **KERNELS}
    found = first({ESP: esp(system_boot()), EXTENDED: tree})
    assert (found.title, found.kernel.volume) == ("there", EXTENDED.name)


def test_a_unified_kernel_image_may_be_the_program_itself_or_systemd_boots():
    image = unified("root=/dev/sda3 sealed")
    for tree in (esp(image), {**esp(system_boot()), "EFI/Linux/debian.efi": image}):
        found = first({ESP: tree, ROOT: {}})
        assert (found.args, found.problem) == (("root=/dev/sda3", "sealed"), "")
        assert found.kernel_version == "6.1.0-9"
        part = found.kernel
        data = tree[part.path.strip("/")]
        assert isinstance(data, bytes)
        assert data[part.offset : part.offset + part.length] == b"the kernel"
        (initrd,) = found.initrds
        assert data[initrd.offset : initrd.offset + initrd.length] == b"the initrd"


def test_a_shim_starts_the_grub_beside_it(tmp_path: Path):
    tree = {**esp(shim(tmp_path)), "EFI/BOOT/grubx64.efi": grub()}
    tree |= {"EFI/test/grub.cfg": entry("right"), **DECOYS}
    assert first({ESP: tree}).title == "right"


def test_a_fallback_starts_what_the_vendor_says(tmp_path: Path):
    csv = "shimx64.efi,Test,,This is the boot entry\n".encode("utf-16")
    helper = shim(tmp_path, "BOOT.CSV")
    tree = {
        **esp(shim(tmp_path)),
        "EFI/BOOT/fbx64.efi": helper,
        "EFI/BOOT/grubx64.efi": grub("/EFI/BOOT"),
        "EFI/test/BOOTX64.CSV": csv,
        "EFI/test/shimx64.efi": shim(tmp_path),
        "EFI/test/grubx64.efi": grub(),
        "EFI/test/grub.cfg": entry("right"),
        **DECOYS,
    }
    assert first({ESP: tree}).title == "right"


def test_grub_may_start_another_boot_program():
    menu = "menuentry 'next' {\n chainloader /EFI/systemd/systemd-bootx64.efi\n}\n"
    tree = {
        **esp(grub()),
        "EFI/test/grub.cfg": menu + entry("second"),
        "EFI/systemd/systemd-bootx64.efi": system_boot(),
        "loader/entries/a.conf": loader_entry("a"),
    }
    chain = read(machine({ESP: tree}))
    assert [(e.title, e.loader) for e in chain.entries] == [
        ("a", "systemd-boot"),
        ("second", "GRUB"),
    ]


def test_programs_that_start_each_other_come_to_an_end():
    menu = "menuentry 'again' {\n chainloader /EFI/BOOT/BOOTX64.EFI\n}\n"
    chain = read(machine({ESP: {**esp(grub()), "EFI/test/grub.cfg": menu}}))
    assert "starts another program" in chain.entries[0].problem


@pytest.mark.parametrize("program", [b"", b"x\n", b"\x17" * 1000])
def test_of_a_program_that_is_none_the_menu_is_taken_for_granted(program: bytes):
    tree: Tree = {PROGRAM: program, "EFI/vendor/grub.cfg": STUB}
    boot = {**KERNELS, "grub/grub.cfg": entry("right")}
    chain = read(machine({ESP: tree, BOOT: boot}))
    assert (chain.entries[0].title, chain.entries[0].firmware) == ("right", ("uefi",))
    assert "cannot be told" in chain.ways[0].note
    assert "it is taken for GRUB with /dev/sda1:/EFI/vendor/grub.cfg" in chain.ways[0].note


def test_without_a_program_in_its_place_uefi_comes_to_nothing():
    tree: Tree = {"EFI/test/grubx64.efi": grub(), "EFI/test/grub.cfg": entry("vendor"), **KERNELS}
    chain = read(machine({ESP: tree}))
    assert chain.ways == ()
    assert [(e.title, e.firmware) for e in chain.entries] == [("vendor", ())]


def test_a_bare_kernel_in_its_place_is_told_as_such():
    data = bytearray(grub())
    data[0x202:0x206] = b"HdrS"
    chain = read(machine({ESP: {PROGRAM: bytes(data)}, BOOT: {**KERNELS, "grub/grub.cfg": STUB}}))
    assert "is a kernel, which firmware starts without arguments" in chain.ways[0].problem
    assert chain.entries == ()
