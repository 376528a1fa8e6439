"""What a BIOS comes to, by way of real boot sectors."""

import msgspec
import pytest

from tests.image.boot.machines import (
    BOOT,
    KERNELS,
    MIB,
    PARTITIONS,
    ROOT,
    entry,
    first,
    grub_of_bios,
    machine,
    read,
)

MENU = "DEFAULT one\nLABEL one\n LINUX /vmlinuz-1\n APPEND root=/dev/sda3 here initrd=/initrd-1\n"


@pytest.mark.parametrize("prefix", ["(hd0,gpt2)/own", "(,gpt2)/own"])
def test_grub_takes_the_menu_that_its_core_leads_to(prefix: str):
    tree = {**KERNELS, "own/grub.cfg": entry("right"), "grub2/grub.cfg": entry("wrong")}
    chain = read(machine({BOOT: tree}, disk=grub_of_bios(prefix)))
    assert [(e.title, e.firmware) for e in chain.entries] == [("right", ("bios",)), ("wrong", ())]
    (way,) = chain.ways
    assert (way.firmware, way.program) == ("bios", "the code in the first sector")
    assert (way.menus, way.note, way.problem) == (("/dev/sda2:/own/grub.cfg",), "", "")


def test_on_an_mbr_partitions_have_their_other_name():
    tree = {**KERNELS, "grub/grub.cfg": entry("right")}
    disk = grub_of_bios("(hd0,msdos2)/grub")
    assert first({BOOT: tree}, disk=disk, label="dos").firmware == ("bios",)
    assert first({BOOT: tree}, disk=disk).firmware == ()


def test_code_of_a_loader_that_is_not_known_is_taken_for_granted():
    tree = {**KERNELS, "grub2/grub.cfg": entry("there")}
    for disk in (b"\xfa" * 510 + b"\x55\xaa", b"\xfa" * 512):
        chain = read(machine({BOOT: tree}, disk=disk))
        assert chain.entries[0].firmware == ("bios",)
        assert "no boot loader that is known" in chain.ways[0].note


def active(disk: bytes, volume_sector: bytes) -> dict[str, object]:
    """A disk whose MBR starts the second partition, which begins with that sector."""
    marked = [msgspec.structs.replace(p, bootable=p.number == 2) for p in PARTITIONS]
    return {"disk": disk.ljust(2 * MIB, b"\0") + volume_sector, "partitions": tuple(marked)}


MBR = (b"\xfa" * 100 + b"Missing operating system\r\n").ljust(510, b"\0") + b"\x55\xaa"
EXTLINUX = (b"\xeb\x58\x90EXTLINUX" + b"\xfa" * 100).ljust(510, b"\0") + b"\x55\xaa"


def test_extlinux_in_the_active_partition_takes_the_menu_of_its_own_folder():
    tree = {
        **KERNELS,
        "boot/extlinux/ldlinux.sys": "x",
        "boot/extlinux/extlinux.conf": MENU,
        "grub/grub.cfg": entry("wrong"),
        "syslinux.cfg": MENU.replace("here", "elsewhere"),
    }
    chain = read(machine({BOOT: tree}, **active(MBR, EXTLINUX)))  # type: ignore[arg-type]
    entry_ = chain.entries[0]
    assert (entry_.title, entry_.args) == ("one", ("root=/dev/sda3", "here"))
    assert (entry_.loader, entry_.firmware) == ("syslinux", ("bios",))
    assert chain.ways[0].menus == ("/dev/sda2:/boot/extlinux/extlinux.conf",)


def test_an_mbr_that_starts_the_active_partition_needs_one():
    tree = {**KERNELS, "grub/grub.cfg": entry("there")}
    found = active(MBR, EXTLINUX)
    found["partitions"] = PARTITIONS
    chain = read(machine({ROOT: tree}, **found))  # type: ignore[arg-type]
    assert chain.entries[0].firmware == ()
    assert chain.ways[0].problem.endswith("starts the active partition, and none is")
