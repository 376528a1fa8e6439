import subprocess
from pathlib import Path

import pytest

from bakery.samples import bootloader
from bakery.samples.assemble import make_sparse
from bakery.samples.disk_layout import FIRST_BYTE, layout_of, write_table
from bakery.samples.filesystems import make_filesystem
from bakery.samples.variants import MIB, find
from bakery.system import architecture


def test_bios_boot_code_leaves_the_partition_table_and_the_first_partition_alone(tmp_path):
    disk = tmp_path / "disk"
    layout = layout_of(find("default"))
    make_sparse(disk, layout.size)
    write_table(disk, layout)
    with disk.open("rb") as file:
        table = file.read(512)[440:]
    bootloader.install_bios(disk, "(hd0,msdos1)/grub2", tmp_path)
    with disk.open("rb") as file:
        start = file.read(FIRST_BYTE + MIB)
    assert start[440:512] == table
    assert b"GRUB" in start[:440]
    assert start[512:1024].strip(b"\0")
    assert not start[FIRST_BYTE:].strip(b"\0")


def test_the_esp_leads_to_the_menu_on_boot(tmp_path):
    esp = make_filesystem(tmp_path / "esp", "vfat", 64 * MIB)
    boot = make_filesystem(tmp_path / "boot", "ext4", 64 * MIB)
    kind, program = bootloader.X86_64, tmp_path / "grubx64.efi"
    bootloader.write_program(program, kind, Path("/") / kind.modules_folder)
    bootloader.install_uefi(esp, boot, "/grub2", kind, program)
    printed = subprocess.run(
        ["mtype", "-i", esp.path, "::EFI/fedora/grub.cfg"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert boot.uuid in printed.stdout
    assert "configfile $prefix/grub.cfg" in printed.stdout
    written = subprocess.run(
        ["mtype", "-i", esp.path, f"::{kind.removable}"],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert architecture.of_program(written.stdout) == "x86_64"


@pytest.mark.parametrize("platform", ["i386-pc", "x86_64-efi"])
def test_modules_are_those_of_the_platform(platform, tmp_path):
    bootloader.copy_modules(bootloader.GRUB_MODULES / platform, tmp_path)
    assert (tmp_path / platform / "normal.mod").exists()
    assert (tmp_path / platform / "moddep.lst").exists()
